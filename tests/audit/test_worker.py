"""What a server does with the log by itself: seals it, signs checkpoints, writes refusals down."""

import json
import time
from functools import partial
from typing import Any

import httpx
import pytest

from ostiary.audit import refusals as refusals_module
from ostiary.audit.sealing.checkpoints import FILE
from ostiary.context import App
from ostiary.db.database import Unreachable
from ostiary.settings import Settings
from tests.audit.inside import audit_rows, recorded
from tests.conftest import MakeServer
from tests.login.inside import promote
from tests.people import sign_up, signed_in
from tests.server import Server
from tests.sessions.waiting import wait_until


def unplaced(settings: Settings) -> int:
    return [row.place for row in audit_rows(settings)].count(None)


def checkpoints(settings: Settings) -> list[dict[str, Any]]:
    file = settings.data_dir / FILE
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.rule("LA-3")
def test_rows_are_sealed_within_a_second(server: Server, client: httpx.Client) -> None:
    for _ in range(3):
        sign_up(client)
        started_at = time.monotonic()
        wait_until(lambda: unplaced(server.settings) == 0)
        assert time.monotonic() - started_at < 5, "a second, five times as long on a busy machine"


@pytest.mark.rule("LA-3")
def test_rows_are_sealed_whoever_has_the_lease_and_does_not(make_server: MakeServer) -> None:
    lazy = make_server(change=lambda app: setattr(app.db, "write", partial(but_never, "seal", app.db.write)))
    server = make_server(like=lazy)
    assert lazy.app.upkeep_lease.is_held
    assert not server.app.upkeep_lease.is_held
    with lazy.client() as client:
        sign_up(client)
    started_at = time.monotonic()
    wait_until(lambda: unplaced(server.settings) == 0)
    assert time.monotonic() - started_at < 5


async def but_never(name: str, write: Any, flow: Any, *args: Any, **kwargs: Any) -> Any:
    """Write like a server that has no time for one of its flows."""
    return 0 if flow.__name__ == name else await write(flow, *args, **kwargs)


@pytest.mark.rule("LA-3")
def test_what_is_recorded_last_is_sealed_at_shutdown(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person = signed_in(client)
        client.post("/auth/logout", headers=person.auth)
    server.__exit__()
    rows = audit_rows(server.settings)
    assert None not in [row.place for row in rows]
    assert checkpoints(server.settings)[-1]["place"] == len(rows)


@pytest.mark.any_engine
def test_checkpoints_are_signed_once_a_minute_where_something_happens(make_server: MakeServer) -> None:
    server = make_server()
    wait_until(lambda: len(checkpoints(server.settings)) == 1)
    with server.client() as client:
        sign_up(client)
        wait_until(lambda: unplaced(server.settings) == 0)
        assert len(checkpoints(server.settings)) == 1
        server.clock.advance(seconds=61)
        wait_until(lambda: len(checkpoints(server.settings)) == 2)
    server.clock.advance(seconds=61)
    server.__exit__()
    assert len(checkpoints(server.settings)) == 2, "and none where nothing has happened since"


@pytest.mark.any_engine
def test_the_first_checkpoint_waits_for_nothing_but_rows(make_server: MakeServer) -> None:
    """Also where nobody has the lease, and rows are sealed when they are seen to wait for a second time."""
    server = make_server(change=lambda app: setattr(app.upkeep_lease, "hold", never_mine))
    wait_until(lambda: len(checkpoints(server.settings)) == 1)


async def never_mine() -> bool:
    return False


def refused(settings: Settings, event: str) -> list[tuple[int | None, dict[str, Any]]]:
    return [(row.user_id, row.details) for row in recorded(settings) if row.event == event]


@pytest.mark.rule("LA-3")
def test_refusals_of_access_are_written_within_a_second(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    for _ in range(3):
        answer = client.get("/audit", headers=person.auth | {"User-Agent": "a browser"})
        assert answer.status_code == 403
    wait_until(
        lambda: sum(d["count"] for who, d in refused(server.settings, "access_refused") if who == person.id) == 3
    )
    row = next(row for row in audit_rows(server.settings, about=person.id) if row.event == "access_refused")
    assert (row.actor_id, row.address, row.user_agent) == (person.id, "127.0.0.1", "a browser")
    assert json.loads(row.details)["code"] == "forbidden"


@pytest.mark.in_memory
@pytest.mark.any_engine
@pytest.mark.rule("LA-3")
def test_rate_limits_leave_one_row_for_each_source_and_minute(make_server: MakeServer) -> None:
    server = make_server(rate_limit=True, rate_limit_per_address="2/minute")
    with server.client() as client:
        for _ in range(2):
            assert client.get("/users").status_code == 401
        for _ in range(5):
            assert client.get("/users").status_code == 429
        time.sleep(0.6)
        assert refused(server.settings, "rate_limited") == [], "the minute is not over"
        server.clock.advance(seconds=62)
        wait_until(lambda: refused(server.settings, "rate_limited") != [])
        assert refused(server.settings, "rate_limited") == [(None, {"limit": "address", "count": 5})]
        for _ in range(3):
            client.get("/users")
    server.__exit__()
    assert refused(server.settings, "rate_limited")[1:] == [(None, {"limit": "address", "count": 1})], "at shutdown"


@pytest.mark.any_engine
def test_a_users_own_limit_is_told_apart(make_server: MakeServer) -> None:
    server = make_server(rate_limit=True, rate_limit_per_user="1/hour")
    with server.client() as client:
        person = signed_in(client)
        assert [client.get("/users/me", headers=person.auth).status_code for _ in range(3)] == [200, 429, 429]
    server.__exit__()
    assert refused(server.settings, "rate_limited") == [(person.id, {"limit": "user", "count": 2})]


@pytest.mark.any_engine
def test_what_is_kept_of_refusals_is_bounded(make_server: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals_module, "MOST_KINDS", 1)
    server = make_server(rate_limit=True, rate_limit_per_user="1/hour")
    with server.client() as client:
        for _ in range(2):
            person = signed_in(client)
            assert [client.get("/users/me", headers=person.auth).status_code for _ in range(3)] == [200, 429, 429]
    server.__exit__()
    assert [details["count"] for _, details in refused(server.settings, "rate_limited")] == [2]


@pytest.mark.any_engine
def test_refusals_wait_for_a_database_that_is_away(make_server: MakeServer) -> None:
    lost: list[object] = []

    def go_away(app: App) -> None:
        write = app.db.write

        async def away_at_first(flow: Any, *args: Any, **kwargs: Any) -> Any:
            if flow.__name__ == "write_refusals" and len(lost) < 2:
                lost.append(flow)
                raise Unreachable(reason="planted")
            return await write(flow, *args, **kwargs)

        app.db.write = away_at_first  # type: ignore[method-assign]

    server = make_server(change=go_away)
    with server.client() as client:
        person = signed_in(client)
        client.get("/audit", headers=person.auth)
        wait_until(lambda: len(lost) == 2)
        client.get("/audit", headers=person.auth)
        wait_until(lambda: sum(details["count"] for _, details in refused(server.settings, "access_refused")) == 2)


@pytest.mark.any_engine
def test_a_file_that_cannot_be_written_stops_nothing(make_server: MakeServer) -> None:
    server = make_server()
    wait_until(lambda: len(checkpoints(server.settings)) == 1)
    file = server.settings.data_dir / FILE
    file.unlink()
    file.mkdir()
    with server.client() as client:
        sign_up(client)
        server.clock.advance(seconds=61)
        wait_until(lambda: unplaced(server.settings) == 0)
        sign_up(client)
        wait_until(lambda: unplaced(server.settings) == 0)
        file.rmdir()
        server.clock.advance(seconds=61)
        wait_until(lambda: len(checkpoints(server.settings)) == 1)


@pytest.mark.any_engine
def test_a_superusers_reading_is_no_event(server: Server, client: httpx.Client) -> None:
    admin = signed_in(client)
    promote(server, admin)
    before = len(audit_rows(server.settings))
    assert client.get("/audit", headers=admin.auth).status_code == 200
    assert len(audit_rows(server.settings)) == before
