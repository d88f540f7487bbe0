"""Servers as processes: when the one that does what is done once is paused or killed, another takes over."""

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from ostiary.settings import Settings
from tests.audit.inside import audit_rows
from tests.cli.command import Installation
from tests.conftest import settings_for_tests
from tests.db.conftest import POSTGRES_VERSIONS
from tests.people import sign_up
from tests.server import Process
from tests.sessions.beside import rows
from tests.sessions.waiting import wait_until

ONE_INSTALLATION = {
    "OSTIARY_SECRET_KEY": "f3b1c9e07a5d4862b9e4d17c60a8f25e",
    "OSTIARY_PUBLIC_URL": "http://127.0.0.1:8000",
}
WITH_A_SHORT_LEASE = """
import sys
from ostiary.app import create_app
from ostiary.cli.main import main
from ostiary.db.leases import Lease
Lease.__init__.__kwdefaults__["length_seconds"] = 5.0
create_app.__kwdefaults__["upkeep_every_seconds"] = 1.0
main()
"""
"""The command, three times as fast to take over: nobody wants to wait for half a minute."""


class Node(Process):
    """A server of several on one database."""

    def __init__(self, data_dir: Path, database_url: str) -> None:
        super().__init__(data_dir, environment=ONE_INSTALLATION | {"OSTIARY_DATABASE_URL": database_url})
        self._command = [sys.executable, "-c", WITH_A_SHORT_LEASE, *self._command[3:]]


def holder(settings: Settings) -> str:
    [(found,)] = rows(settings, "SELECT holder FROM leases WHERE name = 'upkeep'")
    return str(found)


def is_sealed(settings: Settings) -> bool:
    return None not in [row.place for row in audit_rows(settings)]


@pytest.mark.rule("LA-3", "FL-5")
@pytest.mark.parametrize("postgres_url", POSTGRES_VERSIONS[:1], indirect=True)
def test_another_takes_over_from_one_that_is_paused_or_killed(postgres_url: str, tmp_path: Path) -> None:
    settings = settings_for_tests(tmp_path / "beside", postgres_url)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with ExitStack() as stack:
        first = stack.enter_context(Node(tmp_path / "first" / "data", postgres_url))
        firsts = holder(settings)
        second = stack.enter_context(Node(tmp_path / "second" / "data", postgres_url))
        assert holder(settings) == firsts

        os.kill(first.pid, signal.SIGSTOP)
        act_at(second, settings)
        wait_until(lambda: holder(settings) != firsts)
        seconds = holder(settings)
        os.kill(first.pid, signal.SIGCONT)
        wait_until(lambda: "lease_lost" in first.log.read_text())
        for node in (first, second):
            act_at(node, settings)
        assert holder(settings) == seconds, "one that wakes does not take it back"

        second.kill()
        act_at(first, settings)
        wait_until(lambda: holder(settings) == firsts)
        assert first.stop() == 0
        assert rows(settings, "SELECT * FROM leases") == [], "given up at the end"
    place = Installation(tmp_path / "first" / "data", postgres_url, environment=ONE_INSTALLATION)
    assert place.run("audit", "verify").code == 0, "two who believed to have it have sealed one chain"


def act_at(node: Process, settings: Settings) -> None:
    """Do something that is recorded, and wait until it is sealed."""
    with node.client() as client:
        sign_up(client)
    wait_until(lambda: is_sealed(settings))
