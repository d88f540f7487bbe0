"""The parts work by themselves, so that a test that fails on one says something about Ostiary."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from playwright.sync_api import sync_playwright

from tests.cli.workers import is_running
from tests.parts.chromium import LAUNCH_ARGS, chromium
from tests.parts.debian import installed
from tests.parts.postgres import Postgres, available
from tests.parts.valkey import Valkey


@pytest.fixture(scope="module", params=available())
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    with Postgres(available()[request.param]) as server:
        yield server


def value(url: str, query: str, timeout: float = 10) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(url, timeout=timeout)
        try:
            return await connection.fetchval(query, timeout=timeout)
        finally:
            connection.terminate()

    return asyncio.run(ask())


def execute(url: str, statement: str) -> None:
    value(url, statement)


def test_old_and_new_postgres_can_be_had() -> None:
    majors = [int(major) for major in available()]
    assert majors[0] < 18 <= majors[-1]


def test_server_is_the_version_it_says_with_durability_on(server: Postgres) -> None:
    url = server.create_database()
    assert str(value(url, "SHOW server_version")).startswith(f"{server.binaries.major}.")
    assert value(url, "SHOW fsync") == "on"
    assert value(url, "SHOW synchronous_commit") == "on"
    assert value(url, "SHOW max_connections") == "200"


def test_database_is_copied_from_a_template_and_dropped(server: Postgres) -> None:
    template = server.create_database()
    execute(template, "CREATE TABLE things AS SELECT 7 AS id")
    copy = server.create_database(template=template)
    assert value(copy, "SELECT id FROM things") == 7
    server.drop_database(copy)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        value(copy, "SELECT 1")


def test_paused_server_answers_nobody_until_it_is_resumed(server: Postgres) -> None:
    url = server.create_database()
    server.pause()
    with pytest.raises(TimeoutError):
        value(url, "SELECT 1", timeout=0.3)
    server.resume()
    assert value(url, "SELECT 1") == 1


def test_crashed_server_comes_back_with_what_was_committed(server: Postgres) -> None:
    url = server.create_database()
    execute(url, "CREATE TABLE kept AS SELECT 1 AS id")
    server.stop("immediate")
    with pytest.raises(OSError, match="Connect"):
        value(url, "SELECT 1")
    server.start()
    assert value(url, "SELECT id FROM kept") == 1
    server.stop()
    server.start()
    assert value(url, "SELECT id FROM kept") == 1


def test_killed_test_process_leaves_no_server_and_no_files() -> None:
    """Nothing is left even after SIGKILL, when no code of ours runs any more."""
    program = """
from tests.parts.postgres import Postgres
server = Postgres().__enter__()
print(server._server.pid, server.directory, flush=True)
input()
"""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as tester:
        assert tester.stdout is not None
        pid, directory = tester.stdout.readline().split()
        assert Path(directory).exists()
        tester.kill()
    deadline = time.monotonic() + 10
    while Path(directory).exists() or is_running(int(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_valkey_is_stopped_and_comes_back_empty_on_the_same_port() -> None:
    with Valkey(password="secret") as store:
        assert store.ask("SET key value") == "+OK"
        store.flush()
        assert store.ask("GET key") == "$-1"
        store.ask("SET key value")
        store.stop()
        with pytest.raises(ConnectionRefusedError):
            store.ask("PING")
        store.start()
        assert store.ask("GET key") == "$-1"


def test_paused_valkey_answers_nobody_until_it_is_resumed() -> None:
    with Valkey() as store:
        store.pause()
        with socket.create_connection(("127.0.0.1", store.port), timeout=0.3) as connection:
            connection.sendall(b"PING\r\n")
            with pytest.raises(TimeoutError):
                connection.recv(10)
            store.resume()
            connection.settimeout(5)
            assert connection.recv(10) == b"+PONG\r\n"


def test_killed_test_process_leaves_no_valkey() -> None:
    program = """
from tests.parts.valkey import Valkey
store = Valkey().__enter__()
print(store.pid, store.directory, flush=True)
input()
"""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as tester:
        assert tester.stdout is not None
        pid, directory = tester.stdout.readline().split()
        tester.kill()
    deadline = time.monotonic() + 10
    while Path(directory).exists() or Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_browser_shows_a_page() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=LAUNCH_ARGS)
        page = browser.new_page()
        page.goto("data:text/html,<title>open</title>")
        assert page.title() == "open"
        browser.close()


def test_who_may_not_install_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(RuntimeError, match="no such-program to test with: install Debian's `such-package`"):
        installed("such-program", package="such-package")


@pytest.mark.parametrize(
    ("program", "package"),
    [("haproxy", "haproxy"), ("etcd", "etcd-server"), ("pgbouncer", "pgbouncer"), ("patroni", "patroni")],
)
def test_programs_of_a_cluster_can_be_had(program: str, package: str) -> None:
    path = installed(program, package=package)
    answer = subprocess.run([path, "-v" if program == "haproxy" else "--version"], check=False, capture_output=True)
    assert answer.returncode == 0, answer.stderr
