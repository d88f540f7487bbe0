"""Upgrades that are killed: wherever it happens nothing was changed, and the next start does all of it."""

import asyncio
import json
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ostiary.db.schema import HEAD
from ostiary.settings import Settings
from tests.conftest import MakeServer, NewDatabase, settings_for_tests
from tests.db.test_migrations import everything
from tests.faults.figures import Figures, is_long, rounds
from tests.faults.intact import assert_sound
from tests.server import clean_environment
from tests.sessions.beside import rows
from tests.upgrades.release import revision, upgrade
from tests.upgrades.test_frozen import assert_people_as_they_were, assert_sessions_as_they_were, load, served

ROOT = Path(__file__).parents[2]
SOME = 5
FEWEST_STATEMENTS = 70
"""There are more, on either engine."""
MANY_USERS = 20_000
MILLION = 1_000_000

FILL = """
INSERT INTO users (id, email, email_key, username, username_key, is_active, is_superuser, created_at, updated_at)
    SELECT n, 'many-' || n || '@example.com', 'many-' || n || '@example.com', 'many-' || n, 'many-' || n,
        {true}, {false}, 1700000000000, 1700000000000 FROM numbers
"""
HASHES = """
INSERT INTO passwords (user_id, password_hash, updated_at) SELECT id, 'x', 0 FROM users WHERE username LIKE 'many-%'
"""
SESSIONS = """
INSERT INTO sessions (id, user_id, created_at, authenticated_at, amr, address, user_agent, last_used_at, generation,
        refresh_hash, rotated_at, refresh_expires_at, expires_at)
    SELECT 'many-' || id, id, 0, 0, 'pwd', '192.0.2.1', 'x', 0, 0, {hash}, 0, 4000000000000, 4000000000000
    FROM users WHERE username LIKE 'many-%'
"""


def killed_at(settings: Settings, *statements: int) -> list[dict[str, Any]]:
    """Try to upgrade, and die just before each of these statements."""
    command = [sys.executable, "-m", "tests.upgrades.dying", str(settings.data_dir), settings.database_url or ""]
    command += map(str, statements)
    environment = clean_environment() | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.rule("ST-3", "FL-1")
def test_upgrade_that_was_killed_anywhere_changed_nothing_and_is_done_at_the_next_start(
    make_server: MakeServer, new_database: NewDatabase, tmp_path: Path, figures: Figures
) -> None:
    figures.fault = "an upgrade from the first schema is killed before a statement, or its commit"
    settings = settings_for_tests(tmp_path / "data", new_database())
    promise = load("foundation", settings)
    before = everything(settings)
    early = range(1, FEWEST_STATEMENTS) if is_long() else random.sample(range(1, FEWEST_STATEMENTS), SOME)
    ended = killed_at(settings, *early, 0)
    assert {each["signal"] for each in ended} == {9}, ended
    figures.rounds = len(ended)
    assert everything(settings) == before
    assert revision(settings) == promise.revision
    server = served(make_server, settings, promise)  # which upgrades
    assert revision(settings) == HEAD
    assert_sound(settings)
    with server.client() as client:
        assert_sessions_as_they_were(client, promise)
        assert_people_as_they_were(client, promise)


@pytest.mark.rule("ST-3")
def test_many_users_are_upgraded_after_a_kill_half_way(
    new_database: NewDatabase, tmp_path: Path, figures: Figures
) -> None:
    count = rounds(MANY_USERS, MILLION)
    figures.fault = f"the first schema with {count:,} users and sessions is upgraded, and killed half way before that"
    settings = settings_for_tests(tmp_path / "data", new_database())
    load("foundation", settings)
    [(before,)] = rows(settings, "SELECT count(*) FROM users")
    fill(settings, count)
    [ended] = killed_at(settings, 0)  # all is done but the commit
    assert ended["signal"] == 9
    assert revision(settings) == "0001"
    began_at = time.monotonic()
    upgrade(settings)
    figures["upgrade after the kill, s"] = time.monotonic() - began_at
    assert revision(settings) == HEAD
    assert rows(settings, "SELECT count(*) FROM users") == [(before + count,)]
    assert rows(settings, "SELECT count(*) FROM sessions WHERE id LIKE 'many-%'") == [(count,)]
    assert rows(settings, "SELECT sum(live) FROM user_counts WHERE level = 0")[0][0] == before + count
    assert_sound(settings)


def fill(settings: Settings, count: int) -> None:
    """Add users with passwords and sessions to the first schema, in the database's own words."""
    if settings.sqlite_file is not None:
        numbers = (
            f"WITH RECURSIVE numbers(n) AS (SELECT 1001 UNION ALL SELECT n + 1 FROM numbers WHERE n < {1000 + count})"
        )
        with closing(sqlite3.connect(settings.sqlite_file)) as connection, connection:
            head, _, rest = FILL.partition("SELECT")
            connection.execute(f"{head} {numbers} SELECT {rest.format(true=1, false=0)}")
            connection.execute(HASHES)
            connection.execute(SESSIONS.format(hash="randomblob(32)"))
        return
    assert settings.database_url is not None
    asyncio.run(_fill_postgres(settings.database_url, count))


async def _fill_postgres(url: str, count: int) -> None:
    numbers = f"WITH numbers AS (SELECT generate_series(1001, {1000 + count}) AS n)"
    head, _, rest = FILL.partition("SELECT")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"{head} {numbers} SELECT {rest.format(true='true', false='false')}")
        await connection.execute(HASHES)
        await connection.execute(SESSIONS.format(hash="sha256(id::text::bytea)"))
    finally:
        await connection.close()
