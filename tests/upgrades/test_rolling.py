"""Old and new side by side: servers of before go on where they can, and leave alone what they cannot understand."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from ostiary.db.schema import HEAD
from tests.conftest import MakeServer, NewDatabase, settings_for_tests
from tests.faults.figures import Figures
from tests.ledger import Ledger
from tests.server import NO_TLS, Process, clean_environment
from tests.sessions.waiting import wait_until
from tests.upgrades.release import ADDS, NEXT, become_next, revision, upgrade

SECRET = "f3b1c9e07a5d4862b9e4d17c60a8f25e"
PUBLIC_URL = "http://127.0.0.1:8000"

NextRelease = Callable[..., None]


@pytest.fixture
def next_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> NextRelease:
    """Makes this process, not the servers, the next release: `next_release(ADDS, declares="compatible = True")`."""
    return lambda *bodies, declares: become_next(monkeypatch, tmp_path, *bodies, declares=declares)


class Fleet:
    """Servers of this version on one database, each a process: two on PostgreSQL, one on a SQLite file."""

    def __init__(self, directory: Path, url: str | None) -> None:
        self.settings = settings_for_tests(directory / "data", url, secret_key=SECRET, public_url=PUBLIC_URL)
        self.environment = {"OSTIARY_SECRET_KEY": SECRET, "OSTIARY_PUBLIC_URL": PUBLIC_URL, "OSTIARY_RATE_LIMIT": "off"}
        if url is not None:
            self.environment["OSTIARY_DATABASE_URL"] = url
        places = [directory / name / "data" for name in "ab"] if url is not None else [directory / "data"]
        for place in places:
            place.parent.mkdir(exist_ok=True)
        self.servers = [Process(place, environment=self.environment) for place in places]
        self.resting: Process | None = None
        self._turns = itertools.count()

    def where(self) -> str:
        """Where the next request goes: to each in turn, as a proxy does."""
        working = [server for server in self.servers if server is not self.resting]
        return working[next(self._turns) % len(working)].url

    def ready(self) -> list[int]:
        return [
            httpx.get(f"{server.url}/readyz", trust_env=False, verify=NO_TLS).status_code for server in self.servers
        ]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `ostiary …` of this version."""
        command = [sys.executable, "-m", "ostiary", *arguments, "--data-dir", str(self.servers[0].data_dir)]
        environment = clean_environment() | self.environment
        return subprocess.run(command, env=environment, cwd=os.sep, text=True, capture_output=True, check=False)


@pytest.fixture
def fleet(new_database: NewDatabase, tmp_path: Path) -> Iterator[Fleet]:
    """The servers, at work."""
    fleet = Fleet(tmp_path, new_database())
    with ExitStack() as stack:
        for server in fleet.servers:
            stack.enter_context(server)
        yield fleet


def logged(server: Process, event: str) -> bool:
    return event in server.log.read_text()


@pytest.mark.rule("ST-3")
def test_servers_of_before_work_on_beside_a_schema_that_only_grew(
    fleet: Fleet, next_release: NextRelease, figures: Figures
) -> None:
    with Ledger(fleet.where, people=3, seed=11) as ledger:
        ledger.go_on()
        next_release(ADDS, declares="compatible = True")
        upgrade(fleet.settings)
        ledger.go_on()
        if len(fleet.servers) > 1:  # one of them starts anew, and finds the newer schema
            fleet.resting = fleet.servers[1]
            assert fleet.resting.stop() == 0
            fleet.resting.start()
            fleet.resting = None
            ledger.go_on()
        assert fleet.ready() == [200] * len(fleet.servers)
    found = ledger.check()
    assert found.is_clean, found
    assert not found.server_errors, found
    figures["acts acknowledged"] = found.acts
    figures["longest gap, s"] = found.longest_gap_seconds
    assert revision(fleet.settings) == NEXT
    assert logged(fleet.servers[0], "schema_ahead")
    said = fleet.command("db", "check")
    assert said.returncode == 0
    assert f"schema version {NEXT}, newer than {HEAD}; this version of Ostiary may go on with it" in said.stdout
    assert fleet.command("user", "list").returncode == 0
    assert "up to date" in fleet.command("db", "upgrade").stdout


@pytest.mark.rule("ST-3")
def test_servers_of_before_leave_a_schema_alone_that_broke_with_them(
    fleet: Fleet, next_release: NextRelease, make_server: MakeServer
) -> None:
    """The revision only adds, so that it would not show by itself: that it is declared a break is what counts."""
    with Ledger(fleet.where, people=3, seed=12) as ledger:
        ledger.go_on()
        next_release(ADDS, declares="compatible = False")
        upgrade(fleet.settings)
        for server in fleet.servers:
            wait_until(lambda server=server: logged(server, "schema_too_new"))  # type: ignore[misc]
    assert fleet.ready() == [503] * len(fleet.servers)
    for server in fleet.servers:
        with server.client() as client:
            assert client.post("/auth/login", json={"email": "a@example.com", "password": "x"}).status_code == 503
        assert "upgrade Ostiary" in server.log.read_text()
        assert "Traceback" not in server.log.read_text()
        server.stop()
    refused = fleet.command("serve", "--port", "0")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "it was made by a newer one: upgrade Ostiary" in refused.stderr
    assert fleet.command("db", "check").returncode == 3
    kept = {"data_dir": fleet.settings.data_dir, "database_url": fleet.settings.database_url}
    new = make_server(secret_key=SECRET, public_url=PUBLIC_URL, **kept)
    found = ledger.check(new.url)
    assert found.is_clean, found
