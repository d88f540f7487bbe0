"""`ostiary db backup`, `restore` and `move` that are killed at any moment, or find no room."""

import asyncio
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tools.fill import fill

from tests.cli.command import TIME_LIMIT_SECONDS, Installation
from tests.conftest import NewDatabase, settings_for_tests
from tests.faults.figures import Figures
from tests.parts.postgres import Postgres, available
from tests.sessions.beside import rows

USERS = 3_000
SECRET = {"OSTIARY_SECRET_KEY": "Yq7vZ2mKx9Tw4Rb8Lc6Nd1Hf5Js3Gp0Q"}
LITTLE = 64 * 1024
"""Bytes that a file may have where there is no room: a backup and a database of so many users are larger."""


@pytest.fixture
def full(tmp_path: Path, new_database: NewDatabase) -> Installation:
    """An installation that takes a while to go through."""
    return filled(Installation(tmp_path / "data", new_database(), SECRET))


def filled(place: Installation) -> Installation:
    place.make()
    asyncio.run(
        fill(settings_for_tests(place.data_dir, place.database_url, secret_key=SECRET["OSTIARY_SECRET_KEY"]), USERS)
    )
    return place


def backup_of(place: Installation) -> Path:
    return Path(place.run("db", "backup", "--json").json["file"])


def seconds_of(place: Installation, *arguments: str) -> float:
    """How long a command takes when nobody kills it."""
    began_at = time.monotonic()
    assert place.run(*arguments).code == 0
    return time.monotonic() - began_at


def killed(place: Installation, *arguments: str, after_seconds: float) -> bool:
    """Start a command and kill it; answer whether it was still at work."""
    process = place.begin(*arguments)
    process.join(after_seconds)
    was_alive = bool(process.is_alive())
    process.kill()
    process.join()
    return was_alive


def with_little_room(place: Installation, *arguments: str) -> int:
    """Run a command that can write no file larger than a little; answer its exit code."""
    process = place.begin(*arguments)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (LITTLE, LITTLE))
    process.join(TIME_LIMIT_SECONDS)
    assert process.exitcode is not None
    return int(process.exitcode)


def count(place: Installation) -> Any:
    return rows(place.settings, "SELECT count(*), max(id), min(email_key), max(email_key) FROM users")


@pytest.mark.rule("FL-1", "ST-3")
@pytest.mark.timeout(3600)
def test_killed_backup_is_whole_or_has_no_name(full: Installation, tmp_path: Path, figures: Figures) -> None:
    figures.fault = "kill -9 of a backup"
    target = tmp_path / "there.backup"
    usual = seconds_of(full, "db", "backup", str(target))
    kills = 0
    for _ in figures.times(2, long=50):
        target.unlink()
        kills += killed(full, "db", "backup", str(target), after_seconds=random.uniform(0.3, 1.0) * usual)
        if target.exists():
            assert full.run("db", "verify", str(target)).code == 0
        assert full.run("db", "backup", str(target), "--force").code == 0
        assert [path.name for path in tmp_path.glob("*.backup*")] == ["there.backup"], "leftovers are taken away"
    assert full.run("db", "verify", str(target)).code == 0
    figures["killed while at work"] = kills


@pytest.mark.rule("FL-1", "ST-3")
@pytest.mark.timeout(3600)
def test_killed_restore_leaves_nothing_that_could_be_served(
    full: Installation, tmp_path: Path, new_database: NewDatabase, figures: Figures
) -> None:
    figures.fault = "kill -9 of a restore"
    file = backup_of(full)
    usual = seconds_of(Installation(tmp_path / "first", new_database(), SECRET), "db", "restore", str(file))
    kills = 0
    for number in figures.times(2, long=100):
        there = Installation(tmp_path / f"there-{number}", new_database(), SECRET)
        kills += killed(there, "db", "restore", str(file), after_seconds=random.uniform(0.3, 1.0) * usual)
        assert_all_or_nothing(there, full, "db", "restore", str(file))
    figures["killed while at work"] = kills


@pytest.mark.any_engine
@pytest.mark.rule("FL-1", "ST-3")
@pytest.mark.timeout(3600)
def test_killed_move_leaves_nothing_that_could_be_served(
    full: Installation, postgres_servers: Callable[[str], Postgres], figures: Figures
) -> None:
    figures.fault = "kill -9 of a move"
    server = postgres_servers(list(available())[-1])
    usual = seconds_of(full, "db", "move", "--to", server.create_database())
    before = (full.data_dir / "ostiary.db").read_bytes()
    kills = 0
    for _ in figures.times(2, long=100):
        there = Installation(full.data_dir, server.create_database(), SECRET)
        arguments = ["db", "move", "--to", str(there.database_url)]
        kills += killed(full, *arguments, after_seconds=random.uniform(0.3, 1.0) * usual)
        assert_all_or_nothing(there, full, *arguments, by=full)
        assert (full.data_dir / "ostiary.db").read_bytes() == before
    figures["killed while at work"] = kills


def assert_all_or_nothing(
    there: Installation, source: Installation, *arguments: str, by: Installation | None = None
) -> None:
    """What was killed has done nothing, and works when it is given again; or it has done everything."""
    state = there.run("db", "check").code
    assert state in {0, 1}
    again = (by or there).run(*arguments)
    assert again.code == (0 if state else 3), again
    assert count(there) == count(source)
    if there.database_url is None:
        assert {path.name for path in there.data_dir.iterdir()} <= {"ostiary.db"}, "leftovers are taken away"


def test_no_room_for_a_backup_leaves_none(full: Installation, tmp_path: Path) -> None:
    target = tmp_path / "there.backup"
    assert with_little_room(full, "db", "backup", str(target)) == 3
    assert list(tmp_path.glob("there*")) == []
    assert full.run("db", "backup", str(target)).code == 0


@pytest.mark.any_engine
def test_no_room_for_a_restore_leaves_nothing(full: Installation, tmp_path: Path) -> None:
    file = backup_of(full)
    there = Installation(tmp_path / "there", None, SECRET)
    assert with_little_room(there, "db", "restore", str(file)) == 3
    assert list(there.data_dir.iterdir()) == []
    assert with_little_room(there, "db", "verify", str(file)) == 3
    assert there.run("db", "restore", str(file)).code == 0
    assert count(there) == count(full)


def test_two_restores_at_once_do_it_once(full: Installation, tmp_path: Path, new_database: NewDatabase) -> None:
    file = backup_of(full)
    there = Installation(tmp_path / "there", new_database(), SECRET)
    processes = [there.begin("db", "restore", str(file)) for _ in range(2)]
    for process in processes:
        process.join(TIME_LIMIT_SECONDS)
    assert sorted(process.exitcode for process in processes) == [0, 3]
    assert count(there) == count(full)
