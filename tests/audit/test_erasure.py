"""What leaves the log, and that the rest can still be verified (LA-4)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from ostiary.audit import erasure
from ostiary.audit.erasure import (
    ERASED_AGAIN_AFTER,
    erase_user,
    finish_erasures,
    forget_origins,
    remove_rows,
)
from ostiary.audit.models import AuditRow
from tests.audit.inside import audit_rows
from tests.audit.places import Log
from tests.conftest import MakeServer
from tests.people import sign_up, signed_in
from tests.server import Server
from tests.sessions.beside import rows
from tests.sessions.waiting import wait_until


def personal(log: Log) -> list[int]:
    """The places of rows that say where somebody came from."""
    return [row.place or 0 for row in log.rows() if row.address or row.user_agent or row.salt]


def lasting(row: AuditRow) -> AuditRow:
    """What stays of a row whatever is erased, and whether it has a place yet."""
    return row._replace(address=None, user_agent=None, salt=None, place=None, link=None)


@pytest.mark.rule("LA-4")
def test_erasing_takes_where_somebody_came_from_and_leaves_the_rest(log: Log) -> None:
    log.add(2, user_id=7)
    log.add(2, user_id=7, actor_id=None)
    log.add(1, user_id=7, actor_id=8)
    log.add(1, user_id=9, actor_id=7)
    log.add(1, user_id=9, actor_id=None)
    log.seal()
    log.add(1, user_id=7)
    before = log.rows()
    log.write(erase_user, 7, now=log.clock.now())
    log.seal()
    assert personal(log) == [5, 7], "another's address is his, whomever he acted on"
    assert [lasting(row) for row in log.rows()] == sorted(map(lasting, before), key=lambda row: row.id)
    log.sign()
    assert log.findings() == []


@pytest.mark.rule("LA-4")
def test_what_came_late_or_was_too_much_is_erased_afterwards(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "ERASED_AT_ONCE", 3)
    log.add(8)
    log.write(erase_user, 7, now=log.clock.now())
    log.write(erase_user, 7, now=log.clock.now())
    log.add(1)
    log.seal()
    assert len(personal(log)) == 3
    assert log.write(finish_erasures, now=log.clock.now(), limit=10) == 0, "not yet"
    log.clock.advance(seconds=ERASED_AGAIN_AFTER.total_seconds())
    assert log.write(finish_erasures, now=log.clock.now(), limit=2) == 2
    assert log.write(finish_erasures, now=log.clock.now(), limit=2) == 1
    assert personal(log) == []
    assert rows(log.settings, "SELECT user_id FROM audit_erasures") == []
    assert log.findings() == []


@pytest.mark.rule("LA-4")
def test_origins_are_forgotten_by_age_in_slices(log: Log) -> None:
    log.add(6, every_seconds=60)
    log.add_operators()
    log.seal()
    before = log.clock.now() - timedelta(seconds=150)
    assert log.write(forget_origins, before=before, limit=3) == 3
    assert log.write(forget_origins, before=before, limit=3) == 1
    assert log.write(forget_origins, before=before, limit=3) == 0
    assert personal(log) == [5, 6]
    assert log.write(forget_origins, before=before - timedelta(days=1), limit=3) == 0, "a clock that was stepped back"
    assert log.write(forget_origins, before=log.clock.now() + timedelta(seconds=1), limit=3) == 2
    assert personal(log) == []
    assert log.findings() == []


@pytest.mark.any_engine
def test_nothing_is_forgotten_of_an_empty_log(log: Log) -> None:
    assert log.write(forget_origins, before=log.clock.now(), limit=3) == 0
    assert log.write(remove_rows, log.keys, before=log.clock.now(), limit=3) == 0


@pytest.mark.rule("LA-4")
def test_old_rows_are_removed_from_the_beginning_and_the_rest_verifies(log: Log) -> None:
    log.add(9, every_seconds=60)
    log.seal()
    log.sign()
    before = log.clock.now() - timedelta(seconds=210)
    assert log.write(remove_rows, log.keys, before=before, limit=4) == 4
    assert log.findings() == []
    assert log.write(remove_rows, log.keys, before=before, limit=4) == 2
    assert log.write(remove_rows, log.keys, before=before, limit=4) == 0
    assert [row.place for row in log.rows()] == [7, 8, 9]
    assert log.findings() == []
    log.add(1)
    assert log.findings() == []
    assert log.write(remove_rows, log.keys, before=log.clock.now(), limit=4) == 4, "also the very last"
    assert log.findings() == []
    log.add(2)
    assert log.findings() == []
    assert [row.place for row in log.rows()] == [11, 12]


@pytest.mark.rule("LA-3", "LA-4")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET event = 'login_failed' WHERE place = 2",
        "DELETE FROM audit_log WHERE place = 2",
        "UPDATE audit_chain SET start_place = 3",
    ],
)
def test_retention_removes_no_evidence(log: Log, statement: str) -> None:
    log.add(6)
    log.seal()
    log.tamper(statement)
    found = log.findings()
    assert found
    later = log.clock.now() + timedelta(days=1)
    log.write(remove_rows, log.keys, before=later, limit=10)
    log.write(remove_rows, log.keys, before=later, limit=10)
    assert log.findings() == found
    assert len(log.rows()) >= 4


@pytest.mark.any_engine
@pytest.mark.rule("LA-3")
def test_rows_made_old_do_not_go_by_retention_unless_all_behind_them_follow(log: Log) -> None:
    """Somebody who makes rows look old, and links them anew, must write all rows behind them anew too."""
    log.add(6)
    log.seal()
    ages_ago = log.clock.now() - timedelta(days=500)
    old = log.rows()[:2]
    log.tamper(f"UPDATE audit_log SET at = {int(ages_ago.timestamp() * 1000)} WHERE place <= 2")
    assert log.write(remove_rows, log.keys, before=ages_ago + timedelta(days=1), limit=1) == 0
    assert [row.id for row in log.rows()[:2]] == [row.id for row in old]
    assert len(log.findings()) == 2


@pytest.mark.any_engine
def test_a_beginning_cannot_be_moved_without_the_secret(log: Log) -> None:
    log.add(6)
    log.seal()
    third = log.rows()[2]
    log.tamper("DELETE FROM audit_log WHERE place <= 3")
    log.tamper("UPDATE audit_chain SET start_place = 3, start_link = ?", third.link)
    assert log.findings() == ["the head of the chain has a seal that is not ours: it was changed"]


@pytest.mark.rule("LA-4", "AD-6")
def test_closing_an_account_takes_its_addresses_out_of_the_log(server: Server, client: httpx.Client) -> None:
    person, other = signed_in(client), signed_in(client)
    client.post("/auth/login", json={"email": person.email, "password": "wrong"})
    assert client.delete("/users/me", headers=person.auth).status_code == 204
    found = audit_rows(server.settings, about=person.id)
    assert sorted(row.event for row in found) == ["login_failed", "login_succeeded", "user_deleted", "user_signed_up"]
    assert {(row.address, row.user_agent, row.salt) for row in found} == {(None, None, None)}
    assert {row.address for row in audit_rows(server.settings, about=other.id)} == {"127.0.0.1"}


def test_accounts_closed_at_once_are_all_closed(server: Server, client: httpx.Client) -> None:
    people = [signed_in(client) for _ in range(12)]
    with ThreadPoolExecutor(len(people)) as pool:
        answers = list(pool.map(lambda person: client.delete("/users/me", headers=person.auth).status_code, people))
    assert answers == [204] * len(people)
    found = [audit_rows(server.settings, about=person.id) for person in people]
    assert [sum(row.event == "user_deleted" for row in each) for each in found] == [1] * len(people)


@pytest.mark.rule("LA-4")
def test_a_server_forgets_and_removes_by_its_clock(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        old = sign_up(client)
        server.clock.advance(days=60)
        recent = sign_up(client)
        wait_until(lambda: all(row.place for row in audit_rows(server.settings)))
        server.clock.advance(days=31)
        wait_until(lambda: audit_rows(server.settings, about=old.id)[0].address is None)
        assert audit_rows(server.settings, about=recent.id)[0].address == "127.0.0.1"
        server.clock.advance(days=310)
        wait_until(lambda: "user_signed_up" not in {row.event for row in audit_rows(server.settings, about=old.id)})
        assert audit_rows(server.settings, about=recent.id)[0].address is None
