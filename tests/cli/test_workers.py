"""`ostiary serve --workers 2`: several processes on one port, and who looks after them."""

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.api_keys.keys import made_key
from tests.cli.command import Installation
from tests.cli.workers import is_running, workers_of
from tests.conftest import engines
from tests.ledger import Ledger
from tests.parts.ports import free_port
from tests.parts.postgres import Postgres
from tests.people import log_in, signed_in
from tests.server import Process
from tests.sessions.answers import works
from tests.sessions.waiting import wait_until

CONNECTIONS = 12
"""New ones, of which each worker has some: that one of two had them all would happen once in two thousand times."""

ONE_INSTALLATION = {
    "OSTIARY_SECRET_KEY": "f3b1c9e07a5d4862b9e4d17c60a8f25e",
    "OSTIARY_PUBLIC_URL": "http://127.0.0.1:8000",
}


@pytest.fixture(scope="module")
def database_url(postgres_servers: Callable[[str], Postgres]) -> str:
    return postgres_servers(engines()[1].removeprefix("postgresql-")).create_database()


def two_workers(place: Path, database_url: str, **environment: str) -> Process:
    environment = ONE_INSTALLATION | {"OSTIARY_DATABASE_URL": database_url, "OSTIARY_RATE_LIMIT": "off"} | environment
    return Process(place / "data", "--workers", "2", environment=environment)


def commands(place: Path, database_url: str, **environment: str) -> Installation:
    return Installation(place, database_url, environment=ONE_INSTALLATION | environment)


@pytest.fixture(scope="module")
def process(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with two_workers(tmp_path_factory.mktemp("workers"), database_url) as process:
        yield process


def on_any(process: Process, ask: Callable[[httpx.Client], bool]) -> list[bool]:
    """Ask over new connections."""
    with ExitStack() as stack:
        return [ask(stack.enter_context(process.client())) for _ in range(CONNECTIONS)]


@pytest.mark.rule("TK-6", "ST-2")
def test_what_one_worker_did_holds_for_any(process: Process, database_url: str) -> None:
    with process.client() as client:
        person, other = signed_in(client), signed_in(client)
        again = log_in(client, other)
        made = made_key(client, other)
        key = made["key"]
        for token in (person.access_token, other.access_token, again.access_token, key):
            assert all(on_any(process, partial(works, access_token=token)))
        assert client.post("/auth/logout", headers=person.auth).status_code == 204
        assert client.delete(f"/api-keys/{made['id']}", headers=other.auth).status_code == 204
        for token in (person.access_token, key):
            assert not any(on_any(process, partial(works, access_token=token)))
        commands(process.data_dir, database_url).run("user", "deactivate", other.email)
        for token in (other.access_token, again.access_token):
            assert not any(on_any(process, partial(works, access_token=token)))


@pytest.mark.rule("SK-4")
def test_a_change_of_keys_reaches_every_worker(process: Process, database_url: str) -> None:
    def published(client: httpx.Client) -> list[str]:
        return [key["kid"] for key in client.get(f"{process.url}/.well-known/jwks.json").json()["keys"]]

    with process.client() as client:
        [old] = published(client)
        person = signed_in(client)
    installation = commands(process.data_dir, database_url)
    assert installation.run("keys", "rotate", "--now").code == 0
    wait_until(lambda: all(on_any(process, lambda client: len(published(client)) == 2)))
    assert all(on_any(process, lambda client: works(client, person.access_token))), "the old one is still good"
    assert installation.run("keys", "revoke", old, "--yes").code == 0
    wait_until(lambda: not any(on_any(process, lambda client: old in published(client))))
    wait_until(lambda: not any(on_any(process, lambda client: works(client, person.access_token))))


def test_connections_are_spread(process: Process) -> None:
    """Each worker logs what it serves; a paused one would keep its share waiting."""
    first, second = workers_of(process)[-2:]
    os.kill(first, signal.SIGSTOP)
    try:
        served = on_any(process, lambda client: answers(client, within_seconds=1.0))
    finally:
        os.kill(first, signal.SIGCONT)
    assert 0 < served.count(True) < CONNECTIONS, second


def answers(client: httpx.Client, *, within_seconds: float) -> bool:
    with suppress(httpx.TimeoutException):
        return client.get("/health", timeout=within_seconds).status_code == 200
    return False


def test_the_port_is_nobody_elses(process: Process, tmp_path: Path, database_url: str) -> None:
    port = str(httpx.URL(process.url).port)
    for workers in ("1", "2"):
        other = commands(tmp_path / workers, database_url).run("serve", "--port", port, "--workers", workers)
        assert (other.code, "Address already in use" in other.line) == (3, True)


@pytest.mark.rule("FL-1")
def test_workers_that_die_or_are_replaced_lose_nothing(process: Process) -> None:
    before = workers_of(process)[-2:]
    with Ledger(lambda: process.url, people=2, seed=11) as ledger:
        ledger.go_on()
        os.kill(before[0], signal.SIGKILL)
        ledger.go_on()
        wait_until(lambda: len(workers_of(process)) == 3)
        after_death = [before[1], workers_of(process)[-1]]
        ledger.go_on()
        os.kill(process.pid, signal.SIGHUP)
        wait_until(lambda: not any(map(is_running, after_death)))
        ledger.go_on()
    unanswered = [act for act in ledger.acts if act.status is None]
    assert len(unanswered) <= 2, "what the killed one had in hand; nobody was refused a connection"
    assert [act for act in ledger.acts if act.status is not None and act.status >= 500] == []
    found = ledger.check()
    assert found.is_clean, found


def test_workers_end_without_their_supervisor(database_url: str, tmp_path: Path) -> None:
    with two_workers(tmp_path, database_url) as process:
        workers = workers_of(process)
        assert all(map(is_running, workers))
        process.kill()
    wait_until(lambda: not any(map(is_running, workers)))
    with pytest.raises(httpx.ConnectError), process.client() as client:
        client.get("/health")


IMPATIENT = """
from ostiary.cli.main import main
from ostiary.cli.serving import workers
workers.SILENT_TICKS = 50
main()
"""
"""The command, but a worker hangs after five seconds without a word."""


def test_a_worker_that_hangs_is_replaced_and_wrong_settings_replace_none(database_url: str, tmp_path: Path) -> None:
    config = tmp_path / "ostiary.toml"
    config.touch()
    process = two_workers(tmp_path, database_url, OSTIARY_CONFIG_FILE=str(config))
    process._command[1:3] = ["-c", IMPATIENT]
    with process:
        first, second = workers_of(process)
        os.kill(first, signal.SIGSTOP)
        wait_until(lambda: len(workers_of(process)) == 3)
        assert not is_running(first)
        assert "worker_hangs" in process.log.read_text()
        config.write_text('log_level = "loud"')
        os.kill(process.pid, signal.SIGHUP)
        wait_until(lambda: "workers_kept" in process.log.read_text())
        assert len(workers_of(process)) == 3
        assert is_running(second)
        assert process.stop() == 0


def test_told_to_stop_they_finish_and_leave(database_url: str, tmp_path: Path) -> None:
    with two_workers(tmp_path, database_url, OSTIARY_SHUTDOWN_DELAY="1s") as process:
        workers = workers_of(process)
        with Ledger(lambda: process.url, people=3, seed=12) as ledger:
            ledger.go_on()
            for pid in workers:  # as systemd tells every process of a service
                os.kill(pid, signal.SIGTERM)
            assert process.stop() == 0
    assert not any(map(is_running, workers))
    with two_workers(tmp_path, database_url) as again:
        found = ledger.check(again.url)
    assert found.is_clean, found


def test_told_twice_they_end_at_once(database_url: str, tmp_path: Path) -> None:
    with two_workers(tmp_path, database_url, OSTIARY_SHUTDOWN_DELAY="60s") as told:
        workers = workers_of(told)
        os.kill(told.pid, signal.SIGINT)
        wait_until(lambda: not any(on_any(told, lambda client: client.get(f"{told.url}/readyz").status_code == 200)))
        assert told.end(signal.SIGINT) == 128 + signal.SIGINT
        wait_until(lambda: not any(map(is_running, workers)))


def test_a_worker_that_cannot_start_is_said_in_one_line(database_url: str, tmp_path: Path) -> None:
    port = free_port(in_a_row=2)
    place = commands(tmp_path / "data", database_url, OSTIARY_METRICS_PORT=str(port))
    with socket.create_server(("127.0.0.1", port + 1)):
        ended = place.run("serve", "--workers", "2", "--port", "0")
    assert ended.code == 3
    assert ended.out == ""
    last = ended.err.splitlines()[-1]
    assert re.fullmatch(rf"ostiary: cannot serve metrics on 127.0.0.1 port {port + 1}: .*", last), ended.err
