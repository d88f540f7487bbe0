"""Whether a database is in order after whatever happened to its server, and how soon that one serves again."""

import asyncio
import sqlite3
import time
from contextlib import closing

import httpx

from ostiary.app import build, stop
from ostiary.audit.sealing.checkpoints import FILE, checkpoints_in
from ostiary.audit.sealing.verifying import verify
from ostiary.settings import Settings
from tests.db.opened import on_database
from tests.server import Process
from tests.sessions.beside import rows
from tests.users.test_counting import assert_true

ENVIRONMENT = {
    "OSTIARY_PUBLIC_URL": "http://localhost:8000",  # tokens name it, and each start takes another port
    "OSTIARY_RATE_LIMIT": "off",
    "OSTIARY_MAIL_LIMIT_PER_SOURCE": "1000000/hour",
}
"""What servers under test are started with."""
READY_SECONDS = 2.0
"""What FL-1 allows."""
SLACK = 5
LONGEST_SECONDS = 30.0
"""For what needs seconds of processor time, while other tests want it too."""
"""Machines that run tests are shared: a test fails at five times a bound, and its figures say whether that was held."""


def assert_intact(settings: Settings) -> None:
    """Whole operations only, sound, and an audit log as it was sealed."""
    query = "SELECT users.id FROM users LEFT JOIN passwords ON user_id = users.id WHERE user_id IS NULL"
    assert rows(settings, query) == [], "half a sign-up"
    query = "SELECT s.id FROM sessions s LEFT JOIN users u ON u.id = s.user_id WHERE u.id IS NULL"
    assert rows(settings, query) == [], "a session of nobody"
    assert_sound(settings)
    assert asyncio.run(_what_is_wrong_with_the_log(settings)) == []


def assert_sound(settings: Settings) -> None:
    """A file that is in order, and users counted as they are."""
    on_database(settings, lambda database: database.read(assert_true, [3, 10]))
    if settings.sqlite_file is not None:
        with closing(sqlite3.connect(settings.sqlite_file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


async def _what_is_wrong_with_the_log(settings: Settings) -> list[str]:
    app, file = build(settings), settings.data_dir / FILE
    try:
        checkpoints = list(checkpoints_in(file, app.audit_keys)) if file.exists() else []
        return [said async for said in verify(app.db, app.audit_keys, checkpoints, show=lambda _done, _all: None)]
    finally:
        await stop(app)


def start_in_time(process: Process) -> float:
    """Start a server on what another one left; answer after how many seconds it was ready."""
    began_at = time.monotonic()
    process.start()
    answer = httpx.get(f"{process.url}/readyz", trust_env=False, timeout=60)
    seconds = time.monotonic() - began_at
    assert answer.status_code == 200, answer.text
    assert seconds < LONGEST_SECONDS
    return seconds
