"""What becomes of mail when the mail server is down, slow or unwilling, or when we are stopped or killed."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from ostiary.app import read_secret
from ostiary.crypto.sealed import Sealer
from ostiary.mail import worker
from ostiary.mail.outbox import LEASE, enqueue
from tests.audit.inside import recorded
from tests.conftest import MakeProcess, MakeServer, settings_for_tests
from tests.mail.letters import changed, post, post_all, reset, somebody, waiting
from tests.parts.ports import free_port
from tests.parts.smtp import MailServer
from tests.people import log_in, sign_up
from tests.server import Server
from tests.sessions.beside import rows, write
from tests.sessions.waiting import wait_until


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def recipients(mail: MailServer) -> list[str]:
    return sorted(address for taken in mail.taken for address in taken.recipients)


def is_empty(server: Server) -> bool:
    return rows(server.settings, "SELECT count(*) FROM mail_outbox") == [(0,)]


@pytest.mark.any_engine
@pytest.mark.rule("FL-4")
def test_mail_waits_for_a_server_that_is_down_and_leaves_once_it_is_back(make_server: MakeServer) -> None:
    port = free_port()
    server = make_server(mail_url=f"smtp://127.0.0.1:{port}")
    addresses = [somebody() for _ in range(30)]
    with capture_logs() as lines:
        post_all(server, changed(server), addresses)
        wait_until(lambda: len([line for line in lines if line["event"] == "mail_held_up"]) > 1)
    pauses = [line["pause_seconds"] for line in lines if line["event"] == "mail_held_up"]
    assert pauses == sorted(pauses)
    with MailServer(port=port) as mail:
        wait_until(lambda: is_empty(server))
        assert recipients(mail) == sorted(addresses)


@pytest.mark.rule("FL-4")
def test_a_mail_server_that_hangs_holds_up_mail_and_nothing_else(make_server: MakeServer, mail: MailServer) -> None:
    mail.hangs_at = "DATA"
    server = make_server(mail_url=mail.url)
    with server.client() as client:
        person = sign_up(client)
        post_all(server, changed(server), [somebody() for _ in range(50)])
        wait_until(lambda: mail.connections == 1)
        since = time.monotonic()
        for _ in range(10):
            log_in(client, person)
            assert client.get("/health").status_code == 200
        assert time.monotonic() - since < 20
        assert mail.taken == []


@pytest.mark.any_engine
def test_a_mail_refused_for_now_is_tried_again_and_one_refused_for_good_is_not(
    make_server: MakeServer, mail: MailServer
) -> None:
    server = make_server(mail_url=mail.url)
    later, never, fine = somebody(), somebody(), somebody()
    mail.refused = {later: "450 4.2.0 not yet", never: "550 5.1.1 nobody"}
    post(server, changed(server), to=never, user_id=4711)
    held = post(server, changed(server), to=later)
    post(server, changed(server), to=fine)
    wait_until(lambda: recipients(mail) == [fine] and waiting(server, held)[0][1:] == (1, None))
    wait_until(lambda: rows(server.settings, "SELECT id FROM mail_outbox") == [(held,)])
    details = {"message": "password_changed", "tries": 0}
    assert recorded(server.settings, about=4711) == [("mail_given_up", None, 4711, details)]
    server.clock.advance(seconds=30)
    wait_until(lambda: waiting(server, held)[0][1:] == (2, None))
    mail.refused.clear()
    server.clock.advance(seconds=60)
    wait_until(lambda: is_empty(server))
    assert recipients(mail) == sorted([fine, later])


@pytest.mark.any_engine
def test_a_mail_that_is_refused_for_three_days_is_given_up(make_server: MakeServer, mail: MailServer) -> None:
    server, address = make_server(mail_url=mail.url), somebody()
    mail.refused[address] = "450 4.2.0 not yet"
    mail_id = post(server, changed(server), to=address)
    for tries in range(1, 4):
        wait_until(lambda tries=tries: waiting(server, mail_id)[0][1:] == (tries, None))  # type: ignore[misc]
        server.clock.advance(hours=23)
    server.clock.advance(hours=3)
    wait_until(lambda: is_empty(server))
    assert mail.taken == []


@pytest.mark.any_engine
def test_a_connection_that_breaks_costs_the_mail_in_hand_a_wait_and_the_others_nothing(
    make_server: MakeServer, mail: MailServer
) -> None:
    server, poison = make_server(mail_url=mail.url), somebody()
    mail.refused[poison] = "421 4.3.0 something is wrong with me"
    others = [somebody() for _ in range(5)]
    held = post(server, changed(server), to=poison)
    post_all(server, changed(server), others)
    wait_until(lambda: recipients(mail) == sorted(others))
    wait_until(lambda: rows(server.settings, "SELECT id FROM mail_outbox") == [(held,)])


@pytest.mark.any_engine
@pytest.mark.rule("LA-2")
def test_the_log_tells_of_mails_by_their_ids_alone(make_server: MakeServer, mail: MailServer) -> None:
    server, message, address = make_server(mail_url=mail.url), reset(), somebody()
    lines: list[Any]
    with capture_logs() as lines:
        mail.answers["RCPT"] = f"450 4.2.0 <{address}> not yet"
        mail_id = post(server, message, to=address)
        wait_until(lambda: waiting(server, mail_id)[0][1:] == (1, None))
        mail.answers["RCPT"] = f"421 <{address}> closing"
        server.clock.advance(minutes=1)
        wait_until(lambda: waiting(server, mail_id)[0][1:] == (2, None))
        mail.answers.clear()
        server.clock.advance(minutes=2)
        wait_until(lambda: is_empty(server))
        wait_until(lambda: any(line["event"] == "mail_delivered" for line in lines))
    events = [line["event"] for line in lines if line["event"].startswith("mail_")]
    assert events == ["mail_postponed", "mail_postponed", "mail_held_up", "mail_delivered"]
    assert all(line["mail_id"] == mail_id for line in lines if "mail_id" in line)
    assert address not in str(lines)
    assert message.token not in str(lines)
    [taken] = mail.taken
    assert taken.recipients == (address,)
    assert message.token.encode() in taken.content.replace(b"=\r\n", b"")


def test_a_server_that_is_stopped_gives_back_what_it_had_taken(
    make_server: MakeServer, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "GRACE_SECONDS", 0.2)
    mail.hangs_at = "DATA"
    server = make_server(mail_url=mail.url)
    addresses = [somebody() for _ in range(5)]
    post_all(server, changed(server), addresses)
    wait_until(lambda: mail.hanging == 1)
    server.__exit__()
    leased = rows(server.settings, "SELECT count(*) FROM mail_outbox WHERE lease_id IS NOT NULL")
    assert (leased, mail.taken) == ([(1,)], [])  # of the one in hand nobody knows whether it was taken
    mail.hangs_at = None
    with Server(server.settings) as after:
        after.clock.step(seconds=(server.clock.now() - after.clock.now()).total_seconds())
        wait_until(lambda: len(mail.taken) == 4)
        after.clock.advance(seconds=LEASE.total_seconds())
        wait_until(lambda: is_empty(after))
    assert recipients(mail) == sorted(addresses)


@pytest.mark.rule("FL-1")
def test_a_server_killed_while_it_hands_a_mail_over_leaves_it_to_the_next(
    make_process: MakeProcess, mail: MailServer
) -> None:
    mail.hangs_at = "DATA"
    process = make_process(OSTIARY_MAIL_URL=mail.url)
    url = process._environment.get("OSTIARY_DATABASE_URL")
    settings = settings_for_tests(process.data_dir, url, mail_url=mail.url)
    sealer, now, address = Sealer(read_secret(settings), "sealing"), datetime.now(UTC), somebody()
    message = reset(valid_for=timedelta(hours=1))
    mail_id = write(settings, enqueue, message, to=address, language="en", user_id=1, sealer=sealer, now=now)
    wait_until(lambda: mail.hanging == 1)
    process.kill()
    mail.hangs_at = None
    with Server(settings) as after:
        time.sleep(0.5)
        assert mail.taken == []  # it may still be another's
        after.clock.advance(minutes=6)
        wait_until(lambda: is_empty(after))
    [taken] = mail.taken
    assert taken.recipients == (address,)
    assert taken.mail["Message-ID"].startswith(f"<{mail_id}@")
