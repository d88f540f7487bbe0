"""The outbox keeps what was decided on until it has left, seals it, and gives it to one worker at a time."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import Connection, delete

from ostiary.db import Database
from ostiary.mail.messages import PasswordChanged
from ostiary.mail.outbox import (
    GIVEN_UP_AFTER,
    LEASE,
    Taken,
    all_waiting,
    enqueue,
    forget_mails,
    give_back,
    is_any_due,
    mail_outbox,
    next_try,
    open_content,
    postpone,
    remove,
    take_due,
)
from ostiary.problems import InvalidInput
from tests.conftest import NewDatabase, settings_for_tests
from tests.mail.letters import changed, reset, somebody
from tests.server import Server
from tests.sessions.beside import beside, rows, write


@pytest.fixture(scope="module")
def stopped(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server that was started and stopped, so that the tests' are the only workers."""
    with Server(settings_for_tests(tmp_path_factory.mktemp("data"), new_database())) as server:
        return server


@pytest.fixture
def server(stopped: Server) -> Server:
    write(stopped.settings, lambda connection: connection.execute(delete(mail_outbox)))
    return stopped


def put(
    server: Server, *, to: str = "ada@example.com", user_id: int | None = 7, lifetime: timedelta | None = None
) -> str:
    message = changed(server) if lifetime is None else reset(valid_for=lifetime)
    sealer, now = server.app.sealer, server.clock.now()
    return write(server.settings, enqueue, message, to=to, language="de", user_id=user_id, sealer=sealer, now=now)


def take(server: Server, limit: int = 10) -> list[Taken]:
    return write(server.settings, take_due, limit=limit, now=server.clock.now())


@pytest.mark.any_engine
def test_nothing_is_put_there_for_whom_no_mail_can_reach(server: Server) -> None:
    assert put(server, to="ci-bot@service.invalid") == ""
    assert rows(server.settings, "SELECT count(*) FROM mail_outbox") == [(0,)]
    assert put(server, to="ci-bot@service.invalid.example")


def test_a_mail_is_kept_with_its_act_and_not_without(server: Server) -> None:
    def act(connection: Connection) -> None:
        sealer, now = server.app.sealer, server.clock.now()
        enqueue(connection, changed(server), to="a@b.example", language="en", user_id=1, sealer=sealer, now=now)
        raise InvalidInput

    with pytest.raises(InvalidInput):
        write(server.settings, act)
    assert take(server) == []
    mail_id = put(server)
    [mail] = take(server)
    assert (mail.id, mail.message, mail.user_id, mail.tries) == (mail_id, "password_changed", 7, 0)


@pytest.mark.rule("SK-3")
def test_what_a_mail_says_and_to_whom_rests_sealed_and_is_gone_with_it(server: Server) -> None:
    message, address = reset(), somebody()
    sealer, now = server.app.sealer, server.clock.now()
    write(server.settings, enqueue, message, to=address, language="de", user_id=1, sealer=sealer, now=now)
    [row] = rows(server.settings, "SELECT * FROM mail_outbox")
    assert message.token not in repr(row)
    assert address.partition("@")[0] not in repr(row)
    assert message.username not in repr(row)
    [mail] = take(server)
    content = open_content(mail, sealer)
    assert (content.to, content.language, content.message) == (address, "de", message)
    assert write(server.settings, remove, mail)
    assert rows(server.settings, "SELECT count(*) FROM mail_outbox") == [(0,)]


def test_every_value_comes_out_as_it_went_in(server: Server) -> None:
    message = PasswordChanged(
        username="ä", at=server.clock.now() + timedelta(milliseconds=7), device="…", by_reset=True
    )
    sealer, now = server.app.sealer, server.clock.now()
    write(server.settings, enqueue, message, to="a@b.example", language="en", user_id=None, sealer=sealer, now=now)
    [mail] = take(server)
    assert open_content(mail, sealer).message == message


def test_what_is_taken_is_nobody_elses_until_the_lease_ends(server: Server) -> None:
    first, second = put(server), put(server)
    taken = take(server, limit=1)
    assert [mail.id for mail in (*taken, *take(server))] in ([first, second], [second, first])
    assert take(server) == []
    server.clock.advance(seconds=LEASE.total_seconds() - 1)
    assert take(server) == []
    server.clock.advance(seconds=1)
    again = take(server)
    assert {mail.id for mail in again} == {first, second}
    # The first worker was slow, not dead: what it settles now counts for nothing.
    stale = taken[0]
    write(server.settings, postpone, stale, until=server.clock.now() + timedelta(days=1))
    write(server.settings, give_back, [stale], now=server.clock.now())
    assert not write(server.settings, remove, stale)
    assert take(server) == []
    assert all(write(server.settings, remove, mail) for mail in again)


def test_many_workers_at_once_take_each_mail_once(server: Server) -> None:
    put_in = {put(server) for _ in range(30)}

    async def race(database: Database) -> list[list[Taken]]:
        now = server.clock.now()
        return await asyncio.gather(*(database.write(take_due, limit=4, now=now) for _ in range(12)))

    taken = [mail.id for mails in beside(server.settings, race) for mail in mails]
    taken += [mail.id for mail in take(server, limit=100)]
    assert sorted(taken) == sorted(put_in)


def test_what_is_put_off_waits_and_what_is_given_back_does_not(server: Server) -> None:
    put(server)
    [mail] = take(server)
    write(server.settings, give_back, [mail], now=server.clock.now())
    [mail] = take(server)
    assert mail.tries == 0
    write(server.settings, postpone, mail, until=server.clock.now() + timedelta(seconds=30))
    assert take(server) == []
    assert not write(server.settings, is_any_due, now=server.clock.now())
    server.clock.advance(seconds=30)
    [mail] = take(server)
    assert mail.tries == 1


def test_a_mail_is_worth_nothing_once_its_link_is(server: Server) -> None:
    put(server, lifetime=timedelta(minutes=30))
    put(server, lifetime=timedelta(days=7))
    put(server)
    now = server.clock.now()
    assert {mail.expires_at - now for mail in take(server)} == {timedelta(minutes=30), GIVEN_UP_AFTER}


def test_mails_about_a_user_can_be_taken_back(server: Server) -> None:
    put(server, user_id=7)
    kept = put(server, user_id=8)
    write(server.settings, forget_mails, 7)
    assert [mail.id for mail in take(server)] == [kept]


def test_the_outbox_tells_how_long_the_oldest_has_been_waiting(server: Server) -> None:
    assert write(server.settings, all_waiting) == (0, None)
    put(server)
    since = server.clock.now()
    server.clock.advance(minutes=3)
    put(server)
    assert write(server.settings, all_waiting) == (2, since)


@pytest.mark.any_engine
def test_each_wait_is_longer_than_the_last_up_to_two_hours_and_never_the_same_for_all(server: Server) -> None:
    put(server)
    [mail] = take(server)
    now = mail.created_at
    for tries, most in [(0, 30), (1, 60), (4, 480), (8, 7200), (1000, 7200)]:
        one = Taken(mail.id, "x", None, b"", now, now, tries, "x")
        waits = {(next_try(one, now=now) - now).total_seconds() for _ in range(50)}
        assert most / 2 <= min(waits) < max(waits) <= most
