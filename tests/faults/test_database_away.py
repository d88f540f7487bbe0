"""The wire to PostgreSQL: slow, dead, cut in the middle of a commit; and a PostgreSQL that is paused under load."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import settings_for_tests
from tests.faults.figures import Figures
from tests.faults.intact import SLACK, assert_intact
from tests.ledger import Ledger
from tests.parts.postgres import Postgres
from tests.parts.wire import Wire
from tests.people import Person, refresh, signed_in
from tests.server import NO_TLS, Server
from tests.sessions.waiting import wait_until

pytestmark = pytest.mark.timeout(3600)

ANSWER_SECONDS = 5.0
RECOVERY_SECONDS = 30.0
"""Both are FL-2's."""
STARTING_UP = b"E\0\0\0\x42SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres(in_memory=True) as running:
        yield running


@pytest.fixture
def wire(postgres: Postgres) -> Iterator[Wire]:
    with Wire(postgres.port) as wire:
        yield wire


@pytest.fixture
def server(postgres: Postgres, wire: Wire, tmp_path: Path) -> Iterator[Server]:
    url = postgres.create_database().replace(f":{postgres.port}/", f":{wire.port}/")
    with Server(settings_for_tests(tmp_path / "data", url, refresh_replay_window="60s")) as running:
        yield running


def ledger_of(server: Server) -> Ledger:
    return Ledger(lambda: server.url, people=3, replay_window_seconds=60)


def slowest_refusal(ledger: Ledger) -> float:
    return max((act.seconds for act in ledger.acts if act.status == 503), default=0.0)


def probe(server: Server, path: str) -> int:
    """Ask, once the last answer is too old to be given again."""
    server.clock.advance(seconds=1.1)
    return httpx.get(f"{server.url}{path}", trust_env=False, verify=NO_TLS, timeout=20).status_code


@pytest.mark.rule("FL-1", "FL-2", "ST-1")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_whose_connection_breaks_is_never_half(
    server: Server, wire: Wire, figures: Figures, moment: str
) -> None:
    """Cut after: it happened and nobody was told. Cut before: it did not. The server can know neither."""
    figures.fault = f"a third of all commits lose their connection to PostgreSQL ({moment} they arrive)"
    ledger = ledger_of(server)
    for _ in figures.times(1, long=20):
        with ledger:
            ledger.go_on()
            cuts = wire.cuts
            setattr(wire, f"cuts_{moment}", (b"COMMIT", 0.3))
            wait_until(lambda before=cuts: wire.cuts > before + 8)  # type: ignore[misc]
            setattr(wire, f"cuts_{moment}", None)
            ledger.go_on(writes=1)
        found = ledger.check()
        assert found.is_clean, found
        assert set(found.server_errors) <= {503}
        assert not found.unanswered
    figures["commits cut"] = wire.cuts
    figures["acts acknowledged"] = ledger.found.acts
    figures["acts answered 503"] = ledger.found.server_errors[503]
    figures.at_most("half, lost or revived", len(ledger.found.half + ledger.found.lost + ledger.found.revived), 0)
    assert ledger.found.server_errors[503] > 0
    assert_intact(server.settings)


def hang(wire: Wire) -> None:
    wire.hangs = True


def slow_down(wire: Wire) -> None:
    wire.delay_seconds = 0.8


def go_down(wire: Wire) -> None:
    wire.is_down = True
    wire.cut()


def start_up(wire: Wire) -> None:
    wire.greets_with = STARTING_UP
    wire.cut()


def recover(wire: Wire) -> None:
    wire.hangs, wire.delay_seconds, wire.is_down, wire.greets_with = False, 0.0, False, None


@pytest.mark.rule("FL-2", "FL-6")
@pytest.mark.parametrize(
    ("break_it", "what"),
    [
        (hang, "takes everything and answers nothing"),
        (slow_down, "answers each question 1.6 s late"),
        (go_down, "cuts off whoever connects"),
        (start_up, "says that it is starting up"),
    ],
)
def test_a_database_that_is_away_signs_nobody_out(
    server: Server, wire: Wire, figures: Figures, break_it: Callable[[Wire], None], what: str
) -> None:
    figures.fault = f"PostgreSQL {what}"
    with server.client() as client:
        witness = signed_in(client)
    ledger, slowest = ledger_of(server), 0.0
    for _ in figures.times(1, long=10):
        with ledger:
            ledger.go_on(writes=2)
            break_it(wire)
            failures = ledger.found.server_errors[503]
            wait_until(lambda before=failures: ledger.found.server_errors[503] > before + 4)  # type: ignore[misc]
            assert probe(server, "/livez") == 200
            assert probe(server, "/readyz") == 503
            recover(wire)
            slowest = max(slowest, ledger.go_on(writes=1), ready_again(server))
        found = ledger.check()
        assert found.is_clean, found
        assert set(found.server_errors) == {503}
        assert not found.unanswered
    assert_goes_on(server, witness)
    figures["acts acknowledged"] = ledger.found.acts
    figures["acts answered 503"] = ledger.found.server_errors[503]
    figures.at_most("slowest 503, s", slowest_refusal(ledger), ANSWER_SECONDS)
    figures.at_most("answered 401 though signed in", len(ledger.found.unexpected_401s), 0)
    figures.at_most("everybody served again, s", slowest, RECOVERY_SECONDS)
    assert slowest_refusal(ledger) < SLACK * ANSWER_SECONDS


@pytest.mark.rule("FL-2")
def test_a_slow_body_leaves_a_request_its_time_for_the_database(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly() -> Iterator[bytes]:
        yield b'{"language": '
        time.sleep(2.5)
        yield b'"de"}'

    with server.client() as client:
        person = signed_in(client)
        monkeypatch.setattr("ostiary.db.database.REQUEST_LIMIT_SECONDS", 2.0)
        headers = person.auth | {"Content-Type": "application/json"}
        assert client.patch("/users/me/profile", content=slowly(), headers=headers).status_code == 200


def ready_again(server: Server) -> float:
    began_at = time.monotonic()
    wait_until(lambda: probe(server, "/readyz") == 200)
    return time.monotonic() - began_at


def assert_goes_on(server: Server, person: Person) -> None:
    with server.client() as client:
        assert client.get("/users/me", headers=person.auth).status_code == 200
        assert refresh(client, person.refresh_token).status_code == 200
