"""The database goes away and comes back, another process keeps it locked, and far too many log in at once."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.faults.figures import Figures
from tests.parts.postgres import Postgres
from tests.people import Person, newcomer, refresh, signed_in
from tests.server import Process

SLACK = 5  # for machines that are slow at times
HEALTH_SECONDS = 1.5
ANSWER_SECONDS = 5.0
RECOVERY_SECONDS = 30.0

EVERY_SECONDS = 0.4
OUTAGE_SECONDS = 9.0

UNAVAILABLE = {"detail": "Service temporarily unavailable"}

pytestmark = [pytest.mark.alone, pytest.mark.timeout(120)]


class Call(NamedTuple):
    what: str
    status: int
    seconds: float
    answer: httpx.Response


class Callers:
    """Starts calls at a steady pace, each on its own thread, so that they meet whatever state the server is in."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.failures: list[Exception] = []
        self._threads: list[threading.Thread] = []

    def start(self, what: str, ask: Callable[[], httpx.Response]) -> None:
        def call() -> None:
            started_at = time.monotonic()
            try:
                answer = ask()
            except Exception as error:  # noqa: BLE001 - reported by `finish`
                self.failures.append(error)
            else:
                self.calls.append(Call(what, answer.status_code, time.monotonic() - started_at, answer))

        self._threads.append(threading.Thread(target=call))
        self._threads[-1].start()

    def finish(self) -> list[Call]:
        for thread in self._threads:
            thread.join(60)
        assert not self.failures
        assert len(self.calls) == len(self._threads)
        return self.calls


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture
def process(postgres: Postgres, tmp_path: Path) -> Iterator[Process]:
    environment = {"OSTIARY_DATABASE_URL": postgres.create_database(), "OSTIARY_RATE_LIMIT": "off"}
    with Process(tmp_path / "data", environment=environment) as running:
        yield running
        assert "unhandled_error" not in running.log.read_text()


@pytest.fixture
def api(process: Process) -> Iterator[httpx.Client]:
    with process.client() as client:
        yield client


def asks_of(api: httpx.Client, person: Person) -> dict[str, Callable[[], httpx.Response]]:
    login = {"email": person.email, "password": person.password}
    return {
        "read": lambda: api.get(f"/users/{person.id}", headers=person.auth),
        "list": lambda: api.get("/users", headers=person.auth),
        "login": lambda: api.post("/auth/login", json=login),
        "refresh": lambda: refresh(api, person.refresh_token),
        "sign-up": lambda: api.post("/users", json=newcomer()),
        "logout": lambda: api.post("/auth/logout", headers=person.auth),
    }


def root_of(process: Process, api: httpx.Client, path: str) -> httpx.Response:
    return api.get(f"{process.url}{path}")


@contextmanager
def outage(process: Process, api: httpx.Client, person: Person, figures: Figures) -> Iterator[None]:
    """Call all the time while the body lasts; then look at what was answered."""
    callers = Callers()
    asks = asks_of(api, person)
    over = threading.Event()

    def keep_calling() -> None:
        while not over.wait(EVERY_SECONDS):
            for what, ask in asks.items():
                callers.start(what, ask)
            callers.start("health", lambda: api.get("/health"))
            callers.start("ready", lambda: root_of(process, api, "/readyz"))
            callers.start("live", lambda: root_of(process, api, "/livez"))

    calling = threading.Thread(target=keep_calling)
    calling.start()
    try:
        yield
    finally:
        over.set()
        calling.join()
    calls = callers.finish()
    assert len(calls) > 5 * len(asks)
    figures["calls answered as they should"] = len(calls)
    figures.at_most("slowest 503, s", max(call.seconds for call in calls), ANSWER_SECONDS)
    judge(calls)


def judge(calls: list[Call]) -> None:
    """Whatever was asked while the database was away: 503 and when to come again, in time; and never anything else."""
    probes = {"health": {"status": "unhealthy", "database": "unhealthy"}, "ready": {"status": "unavailable"}}
    for what, status, _, answer in calls:
        if what == "live":
            assert (status, answer.json()) == (200, {"status": "ok"})
        elif what in probes:
            assert (status, answer.json()) == (503, probes[what])
        else:
            assert (what, status, answer.json()) == (what, 503, UNAVAILABLE)
            assert int(answer.headers["Retry-After"]) >= 1
            assert "WWW-Authenticate" not in answer.headers
    slowest = {what: max(call.seconds for call in calls if call.what == what) for what in {call.what for call in calls}}
    for what, seconds in slowest.items():
        assert seconds < SLACK * (HEALTH_SECONDS if what in {"health", "ready", "live"} else ANSWER_SECONDS), slowest


def recovered(process: Process, api: httpx.Client) -> float:
    """Wait until the server says that it is well; answer how long that took."""
    started_at = time.monotonic()
    while root_of(process, api, "/readyz").status_code != 200:
        assert time.monotonic() - started_at < RECOVERY_SECONDS
        time.sleep(0.1)
    return time.monotonic() - started_at


def all_is_as_before(api: httpx.Client, person: Person) -> None:
    """Sessions live on, and no connection that died is noticed by anybody."""
    callers = Callers()
    asks = asks_of(api, person)
    for number in range(6):
        for what in ("read", "list", "sign-up") if number < 2 else ("read", "list"):
            callers.start(what, asks[what])
    assert {call.status for call in callers.finish()} == {200, 201}
    assert refresh(api, person.refresh_token).status_code == 200
    assert asks["login"]().status_code == 200
    assert asks["logout"]().status_code == 204


@pytest.mark.rule("FL-2", "FL-6")
def test_a_postgresql_that_hangs(postgres: Postgres, process: Process, api: httpx.Client, figures: Figures) -> None:
    figures.fault = "PostgreSQL is paused (SIGSTOP)"
    person = signed_in(api)
    postgres.pause()
    try:
        time.sleep(1.1)  # for so long an answer about health may be as it was
        with outage(process, api, person, figures):
            time.sleep(OUTAGE_SECONDS)
    finally:
        postgres.resume()
    figures.at_most("ready again, s", recovered(process, api), RECOVERY_SECONDS)
    all_is_as_before(api, person)


@pytest.mark.rule("FL-2", "FL-6")
def test_a_postgresql_that_stops(postgres: Postgres, process: Process, api: httpx.Client, figures: Figures) -> None:
    figures.fault = "PostgreSQL crashes and stays away"
    person = signed_in(api)
    postgres.stop("immediate")
    try:
        time.sleep(1.1)
        with outage(process, api, person, figures):
            time.sleep(3)
    finally:
        postgres.start()
    figures.at_most("ready again, s", recovered(process, api), RECOVERY_SECONDS)
    all_is_as_before(api, person)


@pytest.mark.rule("FL-2")
def test_a_postgresql_that_was_restarted_is_not_noticed(postgres: Postgres, api: httpx.Client) -> None:
    person = signed_in(api)
    callers = Callers()
    for _ in range(12):  # so that there are connections to break
        callers.start("list", lambda: api.get("/users", headers=person.auth))
    assert {call.status for call in callers.finish()} == {200}
    postgres.stop()
    postgres.start()
    all_is_as_before(api, person)


@pytest.mark.rule("FL-2")
def test_a_sqlite_file_that_somebody_keeps_locked(tmp_path: Path) -> None:
    with (
        Process(tmp_path / "data", environment={"OSTIARY_RATE_LIMIT": "off"}) as process,
        process.client() as api,
        closing(sqlite3.connect(tmp_path / "data" / "ostiary.db", isolation_level=None)) as beside,
    ):
        person = signed_in(api)
        asks = asks_of(api, person)
        beside.execute("BEGIN IMMEDIATE")
        writers, readers = Callers(), Callers()
        for what in ("login", "refresh", "sign-up", "logout"):
            writers.start(what, asks[what])
        for _ in range(4):
            time.sleep(1)
            for what in ("read", "list"):
                readers.start(what, asks[what])
            readers.start("health", lambda: api.get("/health"))
            readers.start("ready", lambda: root_of(process, api, "/readyz"))
        for call in readers.finish():
            assert call.status == 200
            assert call.seconds < 3, "who waited for the writer would wait for four seconds at least"
        for call in writers.finish():
            assert (call.what, call.status, call.answer.json()) == (call.what, 503, UNAVAILABLE)
            assert int(call.answer.headers["Retry-After"]) >= 1
            assert 3 < call.seconds < SLACK * ANSWER_SECONDS
        beside.execute("ROLLBACK")
        all_is_as_before(api, person)
        assert "unhandled_error" not in process.log.read_text()
