"""Crashes: a server killed in the middle of writes, and a PostgreSQL killed under a server."""

import itertools
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.clock import SystemClock
from ostiary.login.deactivation import deactivate_user
from ostiary.settings import Settings
from tests.conftest import MakeProcess, NewDatabase, settings_for_tests
from tests.db.conftest import POSTGRES_VERSIONS
from tests.db.crashing import Chain, Record, busy
from tests.db.opened import on_database
from tests.parts.postgres import Postgres, available
from tests.people import Person, refresh, sign_up, signed_in
from tests.server import Process, Server
from tests.sessions.answers import assert_refused, claims_of
from tests.sessions.beside import rows, write
from tests.sessions.waiting import wait_until
from tests.users.test_counting import assert_true

ROUNDS = 2
SESSIONS = 4
READY_SECONDS = 5 * 2.0
"""Five times what FL-1 allows: machines that run tests are shared."""


@pytest.mark.rule("FL-1", "ST-1")
def test_killed_server_loses_nothing_and_revives_nothing(
    make_process: MakeProcess, new_database: NewDatabase, tmp_path: Path
) -> None:
    url = new_database()
    environment = {"OSTIARY_RATE_LIMIT": "off", "OSTIARY_REFRESH_REPLAY_WINDOW": "0s", "OSTIARY_LOG_LEVEL": "error"}
    if url is not None:
        environment["OSTIARY_DATABASE_URL"] = url
    process = make_process(data_dir=tmp_path / "data", **environment)
    settings = settings_for_tests(tmp_path / "data", url)
    for _ in range(ROUNDS):
        with process.client() as client:
            people = [signed_in(client) for _ in range(SESSIONS)]
            leaver, banned = signed_in(client), signed_in(client)
            with busy(process, people) as record:
                wait_until(lambda seen=record: len(seen.signed_up) >= 4 and seen.rotations >= 40)  # type: ignore[misc]
                assert client.post("/auth/logout", headers=leaver.auth).status_code == 204
                write(settings, deactivate_user, banned.id, origin=OPERATOR, now=SystemClock().now())
                process.kill()
        assert record.statuses == []
        assert_intact(settings)
        start_in_time(process)
        with process.client() as client:
            assert_signed_up(client, record.signed_up)
            for chain in record.chains:
                assert_as_acknowledged(client, settings, chain)
            for person in (leaver, banned):
                assert_refused(refresh(client, person.refresh_token))
            assert_refused(client.post("/auth/login", json={"email": banned.email, "password": banned.password}))


def start_in_time(process: Process) -> None:
    began = time.monotonic()
    process.start()
    answer = httpx.get(f"{process.url}/readyz", trust_env=False)
    assert answer.status_code == 200
    assert time.monotonic() - began < READY_SECONDS


def assert_intact(settings: Settings) -> None:
    """Whole operations only, in a file that is in order."""
    query = "SELECT users.id FROM users LEFT JOIN passwords ON user_id = users.id WHERE user_id IS NULL"
    assert rows(settings, query) == []
    assert_sound(settings)


def assert_sound(settings: Settings) -> None:
    """A file that is in order, and users counted as they are."""
    on_database(settings, lambda database: database.read(assert_true, [3, 10]))
    if settings.sqlite_file is not None:
        with closing(sqlite3.connect(settings.sqlite_file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def assert_signed_up(client: httpx.Client, people: list[Person]) -> None:
    def log_in(person: Person) -> int:
        body = {"email": person.email, "password": person.password}
        return client.post("/auth/login", json=body).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(log_in, people)) == {200}


def assert_as_acknowledged(client: httpx.Client, settings: Settings, chain: Chain) -> None:
    """Hold the server to what it told the owner of a session.

    Where the last answer never came, the last token may be spent or not; the ones before it are for certain.
    """
    claims = claims_of(chain.live)
    [(generation, revoked_at)] = rows(
        settings, "SELECT generation, revoked_at FROM sessions WHERE id = ?", str(claims["sid"])
    )
    assert revoked_at is None
    assert generation - claims["generation"] in ({0} if chain.is_certain else {0, 1})
    if chain.is_certain:
        assert refresh(client, chain.live).status_code == 200
    for spent in reversed(chain.spent):
        assert_refused(refresh(client, spent))


@pytest.fixture(params=POSTGRES_VERSIONS)
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """A PostgreSQL that nobody else uses, so that it may be killed."""
    with Postgres(available()[request.param]) as running:
        yield running


@pytest.mark.rule("FL-1", "ST-1", "ST-2")
def test_killed_postgres_is_survived_without_signing_anybody_out(postgres: Postgres, tmp_path: Path) -> None:
    """Clients present their token again until they have an answer, as they may: none is refused."""
    settings = settings_for_tests(tmp_path / "data", postgres.create_database())
    with Server(settings) as server, server.client() as client:
        people = [signed_in(client) for _ in range(SESSIONS)]
        known = sign_up(client)
        with busy(server, people, sign_ups=3, retries=True) as record:
            for _ in range(2):
                let_go_on(record)
                postgres.stop("immediate")
                failures = len(record.statuses)
                wait_until(lambda seen=record, before=failures: len(seen.statuses) > before)  # type: ignore[misc]
                postgres.start()
            let_go_on(record)
        assert set(record.statuses) == {503}
        assert record.unanswered == 0
        assert_intact(settings)
        assert_signed_up(client, [known, *record.signed_up])
        for chain in record.chains:
            if not chain.is_certain:
                chain.live = refresh(client, chain.live).json()["refresh_token"]
            assert refresh(client, chain.live).status_code == 200
            assert_refused(refresh(client, chain.spent[-2]))


def let_go_on(record: Record) -> None:
    """Wait until every session was refreshed again several times, and somebody signed up."""
    before = [len(chain.spent) for chain in record.chains]
    people = len(record.signed_up)
    wait_until(
        lambda: (
            len(record.signed_up) > people
            and all(len(chain.spent) > count + 3 for chain, count in itertools.zip_longest(record.chains, before))
        )
    )
