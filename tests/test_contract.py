"""The contract's own black-box check, in full, against servers as people start them: limits on, nothing else set."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.parts.postgres import Postgres, available
from tests.server import Process

ROOT = Path(__file__).parents[1]
CHECK = ROOT / os.environ.get("CONTRACT_CHECK", "../shared/checks/contract.py")
SECONDS = 200
"""A minute of it is waiting, twice over where the machine is slow."""


@pytest.fixture
def urls(tmp_path: Path, postgres_servers: Callable[[str], Postgres]) -> Iterator[dict[str, str]]:
    """Two servers of their own address limits, far from UTC: on SQLite, and on the newest PostgreSQL."""
    newest = list(available())[-1]
    databases = {"sqlite": None, f"postgresql-{newest}": postgres_servers(newest).create_database()}
    with ExitStack() as stack:
        started = {}
        for engine, url in databases.items():
            environment = {"TZ": "Pacific/Kiritimati"} | ({} if url is None else {"OSTIARY_DATABASE_URL": url})
            process = stack.enter_context(Process(tmp_path / engine, environment=environment))
            started[engine] = f"{process.url}/api/v1"
        yield started


@pytest.mark.skipif(not CHECK.is_file(), reason="CONTRACT_CHECK names no file")
@pytest.mark.timeout(SECONDS + 60)
def test_the_contract_holds_on_both_engines(urls: dict[str, str]) -> None:
    checks = {
        engine: subprocess.Popen(
            [sys.executable, CHECK, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for engine, url in urls.items()
    }
    said = {}
    try:
        for engine, check in checks.items():
            said[engine] = check.communicate(timeout=SECONDS)[0]
    finally:
        for check in checks.values():
            check.kill()
            check.communicate()
    for engine, output in said.items():
        print(f"== {engine}\n{output}")  # noqa: T201 - shown where the test fails
    assert {engine: check.returncode for engine, check in checks.items()} == dict.fromkeys(urls, 0)
    for output in said.values():
        assert output.splitlines()[-1] == "all hold"
