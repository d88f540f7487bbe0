"""Processes killed at any instant: a server that writes, a server at its first start, and PostgreSQL under a server."""

import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.clock import SystemClock
from ostiary.login.deactivation import deactivate_user
from tests.conftest import MakeProcess, NewDatabase, settings_for_tests
from tests.faults.figures import Figures
from tests.faults.intact import ENVIRONMENT, READY_SECONDS, assert_intact, start_in_time
from tests.ledger import Ledger
from tests.parts.postgres import Postgres
from tests.people import newcomer, refresh, sign_up, signed_in
from tests.server import Process, Server
from tests.sessions.answers import assert_refused
from tests.sessions.beside import write
from tests.sessions.waiting import wait_until


@pytest.mark.rule("FL-1", "ST-1", "ST-2")
@pytest.mark.timeout(3600)
def test_a_killed_server_loses_nothing_and_revives_nothing(
    make_process: MakeProcess, new_database: NewDatabase, tmp_path: Path, figures: Figures, engine: str
) -> None:
    figures.fault = f"kill -9 of a server while it writes ({engine})"
    url = new_database()
    environment = ENVIRONMENT if url is None else ENVIRONMENT | {"OSTIARY_DATABASE_URL": url}
    environment |= {"OSTIARY_REFRESH_REPLAY_WINDOW": "60s"}
    process = make_process(data_dir=tmp_path / "data", **environment)
    settings = settings_for_tests(tmp_path / "data", url)
    with process.client() as client:
        banned = signed_in(client)
    ledger = Ledger(lambda: process.url, pause_seconds=0, late_seconds=0, replay_window_seconds=60)
    ready: list[float] = []
    for number in figures.times(2, long=200):
        with ledger:
            if number % 10 == 0:
                ledger.go_on(writes=5)
            time.sleep(random.uniform(0.02, 0.8))
            if number == 0:  # from another process, which the killed one need not have noticed
                write(settings, deactivate_user, banned.id, origin=OPERATOR, now=SystemClock().now())
            process.kill()
        assert_intact(settings)
        ready.append(start_in_time(process))
        found = ledger.check()
        assert found.is_clean, f"round {number}\n{found}"
    with process.client() as client:
        assert_refused(refresh(client, banned.refresh_token))
        assert_refused(client.post("/auth/login", json={"email": banned.email, "password": banned.password}))
    figures["acts acknowledged"] = ledger.found.acts
    figures["acts without an answer"] = ledger.found.unanswered
    figures.at_most("acknowledged and lost", len(ledger.found.lost), 0)
    figures.at_most("spent or ended, and taken again", len(ledger.found.revived), 0)
    figures["ready again, half of the times within, s"] = median(ready)
    figures.at_most("ready again, s", max(ready), READY_SECONDS)
    assert not ledger.found.server_errors
    assert not ledger.found.late_retries


@pytest.mark.rule("FL-1", "AD-1")
@pytest.mark.timeout(3600)
def test_a_server_killed_at_its_first_start_begins_again(
    new_database: NewDatabase, tmp_path: Path, figures: Figures, engine: str
) -> None:
    """Wherever it was: the secret, the schema and its steps, the first key, the offer to the first superuser."""
    figures.fault = f"kill -9 of a server at its first start ({engine})"
    slowest = 0.0
    for number in figures.times(1, long=40):
        data_dir, url = tmp_path / str(number) / "data", new_database()
        data_dir.parent.mkdir()
        process = Process(
            data_dir, environment=ENVIRONMENT if url is None else ENVIRONMENT | {"OSTIARY_DATABASE_URL": url}
        )
        process.launch()
        wait_until(data_dir.exists)
        time.sleep(random.uniform(0, 0.8))
        process.kill()
        slowest = max(slowest, start_in_time(process))
        try:
            wait_until(lambda running=process: "within an hour" in running.printed)  # type: ignore[misc]
            token = re.search(r'"token": ?"([^"]+)"', process.printed)
            assert token is not None, process.printed
            with process.client() as client:
                assert client.post("/setup", json=newcomer(token=token[1])).status_code == 201
                signed_in(client)
        finally:
            process.kill()
        assert_intact(settings_for_tests(data_dir, url))
    figures["ready, with what the first start has to do, s"] = slowest


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that nobody else uses, so that it may be killed."""
    with Postgres() as running:
        yield running


@pytest.mark.rule("FL-1", "FL-2", "ST-1", "ST-2")
@pytest.mark.timeout(3600)
def test_a_killed_postgresql_is_survived_without_signing_anybody_out(
    postgres: Postgres, tmp_path: Path, figures: Figures
) -> None:
    """What a crash leaves of it; people present their tokens again until they have an answer, as they may."""
    figures.fault = "PostgreSQL crashes under load and comes back"
    settings = settings_for_tests(tmp_path / "data", postgres.create_database(), refresh_replay_window="60s")
    with Server(settings) as server, server.client() as client:
        known = sign_up(client)
        ledger = Ledger(lambda: server.url, people=4, replay_window_seconds=60)
        slowest = 0.0
        for _ in figures.times(1, long=20):
            with ledger:
                ledger.go_on()
                time.sleep(random.uniform(0, 0.3))
                postgres.stop("immediate")
                failures = ledger.found.server_errors[503]
                wait_until(lambda before=failures: ledger.found.server_errors[503] > before + 2)  # type: ignore[misc]
                postgres.start()
                slowest = max(slowest, ledger.go_on(writes=1))
            found = ledger.check()
            assert found.is_clean, found
            assert set(found.server_errors) == {503}
            assert not found.unanswered
        assert_intact(settings)
        assert client.post("/auth/login", json={"email": known.email, "password": known.password}).status_code == 200
    figures["acts acknowledged"] = ledger.found.acts
    figures["acts answered 503"] = ledger.found.server_errors[503]
    figures.at_most("everybody served again, s", slowest, 30)
