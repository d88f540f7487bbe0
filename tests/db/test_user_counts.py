"""The counts of users stay true beside real writers, folds, an upgrade; and nobody waits because of them."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert

from ostiary.audit.origin import OPERATOR
from ostiary.clock import SystemClock
from ostiary.db import Database, read_committed, schema
from ostiary.settings import Settings
from ostiary.users.accounts import add_user, delete_user
from ostiary.users.counting import BLOCK, FAN_OUT, fold_counts, user_count_changes
from ostiary.users.models import users
from tests.conftest import settings_for_tests
from tests.db.opened import on_database
from tests.people import newcomer
from tests.sessions.beside import rows, write
from tests.users.test_counting import assert_true, user_row

WRITERS = 50
SECONDS = 20


def upgrade(settings: Settings, to: str = "head") -> None:
    async def run(database: Database) -> None:
        backups = settings.data_dir / "backups"
        await schema.upgrade(database, backup_dir=backups, now=SystemClock().now(), to=to)

    on_database(settings, run)


@read_committed(why="as in sign-up, the unique constraints decide")
def join(connection: Connection, attempts: list[None] | None = None) -> int:
    if attempts is not None:
        attempts.append(None)
    names = newcomer()
    now = SystemClock().now()
    return add_user(connection, email=names["email"], username=names["username"], is_superuser=False, now=now).id


def check(settings: Settings, skips: list[int]) -> None:
    on_database(settings, lambda database: database.read(assert_true, skips))


def at_once(calls: list[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result(120)


def plant(connection: Connection, table: Table, planted: list[dict[str, Any]]) -> None:
    connection.execute(insert(table), planted)


async def come_and_go(database: Database) -> None:
    """Forty sign up, of whom fourteen stay."""
    for number in range(40):
        user_id = await database.write(join)
        if number % 3:
            await database.write(delete_user, user_id, origin=OPERATOR, now=SystemClock().now())


def test_pages_are_true_at_every_moment_beside_writers_and_folds(settings: Settings) -> None:
    upgrade(settings)
    over = threading.Event()
    folded: list[int] = []
    looks: list[None] = []

    async def fold(database: Database) -> None:
        while not over.is_set():
            folded.append(await database.write(fold_counts, limit=3))
            await asyncio.sleep(0.01)  # or somebody who waits for SQLite may never be let in

    async def look(database: Database) -> None:
        while not over.is_set():
            await database.read(assert_true, [len(looks) % 60])
            looks.append(None)

    with ThreadPoolExecutor(4) as pool:
        beside = [pool.submit(on_database, settings, work) for work in (fold, fold, look, look)]
        try:
            at_once([partial(on_database, settings, come_and_go)] * 3)
        finally:
            over.set()
        for done in beside:
            done.result(60)
    assert sum(folded) > 0
    assert len(looks) > 10
    check(settings, [0, 5, 41])
    assert rows(settings, "SELECT count(*) FROM users") == [(3 * 14,)]


def test_folding_at_once_counts_every_change_once(settings: Settings) -> None:
    upgrade(settings)
    changes = [{"block": number % (3 * FAN_OUT), "change": 1} for number in range(600)]
    write(settings, plant, user_count_changes, changes)
    folded: list[int] = []

    def fold() -> None:
        async def run(database: Database) -> None:
            while (count := await database.write(fold_counts, limit=20)) > 0:
                folded.append(count)

        on_database(settings, run)

    at_once([fold] * 4)
    while (count := write(settings, fold_counts, limit=20)) > 0:  # what two had left to one another
        folded.append(count)
    assert sum(folded) == len(changes)
    for level, most in ((0, 3 * FAN_OUT), (1, 3)):
        counted = rows(settings, "SELECT number, live FROM user_counts WHERE level = ? ORDER BY number", level)
        assert len(counted) == most
        assert sum(live for _, live in counted) == len(changes)


@contextmanager
def held_open(settings: Settings, flow: Callable[[Connection], object]) -> Iterator[None]:
    """Keep a transaction open after the flow, while the block runs."""
    begun, let_go = threading.Event(), threading.Event()

    @read_committed(why="whatever the flow rests on, it is kept open here")
    def hold(connection: Connection) -> None:
        flow(connection)
        begun.set()
        let_go.wait(50)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(write, settings, hold)
        assert begun.wait(SECONDS)
        try:
            yield
            assert not held.done(), "it was not open to the end"
        finally:
            let_go.set()
            held.result(SECONDS)


@pytest.mark.usefixtures("all_the_time")
@pytest.mark.parametrize("flow", [join, partial(fold_counts, limit=1000)], ids=["sign-up", "fold"])
def test_sign_ups_wait_for_no_open_sign_up_or_fold(
    postgres_url: str, tmp_path: Path, flow: Callable[[Connection], object]
) -> None:
    settings = settings_for_tests(tmp_path / "data", postgres_url)
    settings.data_dir.mkdir()
    upgrade(settings)
    write(settings, join)
    attempts: list[None] = []

    async def crowd(database: Database) -> None:
        await asyncio.gather(*(database.write(join, attempts) for _ in range(WRITERS)))

    with held_open(settings, flow):
        on_database(settings, crowd)
    assert len(attempts) == WRITERS, "somebody had to try again"
    check(settings, [0, 50])


@pytest.mark.rule("ST-3")
def test_upgrade_counts_the_users_of_before(settings: Settings) -> None:
    upgrade(settings, to="0001")
    starts = (1, BLOCK - 3, BLOCK * FAN_OUT - 5, 7 * BLOCK * FAN_OUT, 2**61)
    ids = [i for start in starts for i in range(start, start + 9) if i % 4]
    write(settings, plant, users, [user_row(user_id) for user_id in ids])
    upgrade(settings)
    assert rows(settings, "SELECT count(*) FROM user_count_changes") == [(0,)]
    check(settings, list(range(len(ids) + 2)))
    for level in (0, 1):
        assert sum(live for (live,) in rows(settings, "SELECT live FROM user_counts WHERE level = ?", level)) == len(
            ids
        )
