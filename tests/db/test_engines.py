"""`Database.read` and `Database.write` keep the same promises on each engine."""

import asyncio
import gc
import importlib
import pkgutil
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

import ostiary
from ostiary.db import Database, Unreachable, read_committed
from ostiary.db.database import Allowance, allowance
from ostiary.db.flows import isolation_of
from ostiary.login.signup import create, create_first_superuser
from ostiary.problems import Problem
from ostiary.settings import Settings
from tests.conftest import MakeServer
from tests.db.opened import on_database
from tests.mails import settled
from tests.people import sign_up
from tests.sessions.beside import write as write_beside

WRITERS = 50
tally = Table("tally", MetaData(), Column("name", String(32), primary_key=True), Column("number", Integer))


class Kept(Problem):
    """A refusal that keeps what was written."""

    keep_writes = True


@pytest.fixture(autouse=True)
def _tally(request: pytest.FixtureRequest) -> None:
    if "settings" in request.fixturenames:
        request.getfixturevalue("all_the_time")
        settings: Settings = request.getfixturevalue("settings")
        on_database(settings, lambda database: database.migrate(tally.create))


def add(connection: Connection, name: str, *, then: Exception | None = None) -> str:
    """Write a row, then refuse or fail where asked to."""
    connection.execute(insert(tally).values(name=name, number=0))
    if then is not None:
        raise then
    return name


def names(connection: Connection) -> set[str]:
    return set(connection.execute(select(tally.c.name)).scalars())


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(tally)).scalar_one()


@pytest.mark.rule("ST-4")
def test_what_a_refused_flow_wrote_is_undone_unless_it_is_to_be_kept(settings: Settings) -> None:
    async def story(database: Database) -> None:
        assert await database.write(add, "done") == "done"
        for name, error in (("refused", Problem("no")), ("kept", Kept("no")), ("bug", ZeroDivisionError("bug"))):
            with pytest.raises(type(error)) as raised:
                await database.write(add, name, then=error)
            assert raised.value is error
        assert await database.read(names) == {"done", "kept"}

    on_database(settings, story)


@pytest.mark.rule("ST-4")
def test_failing_flow_spoils_no_other(settings: Settings) -> None:
    """On SQLite all of them are committed together: the first one takes until the others have come."""

    def slow(connection: Connection) -> str:
        time.sleep(0.2)
        return add(connection, "slow")

    kinds: list[Exception | None] = [None, Problem("no"), Kept("no"), ValueError("bug")]

    async def story(database: Database) -> None:
        flows: list[Callable[[Connection], str]] = [
            partial(add, name=f"{number}", then=kinds[number % 4]) for number in range(120)
        ]
        flows += [partial(add, name="slow"), lambda connection: str(connection.execute(text("SELECT nonsense")))]
        first = asyncio.create_task(database.write(slow))
        await asyncio.sleep(0)
        answers = await asyncio.gather(*(database.write(flow) for flow in flows), return_exceptions=True)
        assert await first == "slow"
        for number, answer in enumerate(answers[:120]):
            assert answer == str(number) if kinds[number % 4] is None else answer is kinds[number % 4]
        assert isinstance(answers[120], IntegrityError)
        assert isinstance(answers[121], DBAPIError)
        assert await database.read(names) == {"slow", *(str(number) for number in range(120) if number % 2 == 0)}

    on_database(settings, story)


@pytest.mark.rule("ST-4")
def test_read_sees_one_moment(settings: Settings) -> None:
    def look_twice(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        with ThreadPoolExecutor(1) as elsewhere:
            elsewhere.submit(write_beside, settings, add, "meanwhile").result(30)
        return before, count(connection)

    async def story(database: Database) -> None:
        assert await database.read(look_twice) == (0, 0)
        assert await database.read(count) == 1

    on_database(settings, story)


@pytest.mark.rule("ST-4")
def test_read_cannot_write(settings: Settings) -> None:
    async def story(database: Database) -> None:
        for _ in range(20):
            with pytest.raises(Unreachable, match=r"(?i)read-?only"):
                await database.read(add, "by reading")
        assert await database.read(names) == set()
        # The connections that were read-only can be written to.
        await asyncio.gather(*(database.write(add, f"{number}") for number in range(20)))
        assert await database.read(count) == 20

    on_database(settings, story)


@pytest.mark.rule("ST-4")
def test_concurrent_read_and_write_loses_nothing(settings: Settings) -> None:
    """Nor does anybody see that PostgreSQL refused to serialise it at first."""

    def increment(connection: Connection) -> int:
        number = connection.execute(select(tally.c.number)).scalar_one()
        connection.execute(update(tally).values(number=number + 1))
        return int(number)

    async def story(database: Database) -> None:
        await database.write(add, "counter")
        seen = await asyncio.gather(*(database.write(increment) for _ in range(WRITERS)))
        assert sorted(seen) == list(range(WRITERS))

    on_database(settings, story)


@pytest.mark.rule("ST-4")
def test_closed_database_is_unreachable(settings: Settings) -> None:
    async def story(database: Database) -> None:
        await database.write(add, "before")
        await database.close()
        for call in (database.read, database.write, database.migrate):
            with pytest.raises(Unreachable, match="closed"):
                await call(count)

    on_database(settings, story)


@pytest.mark.rule("ST-4")
def test_close_finishes_what_is_under_way(settings: Settings) -> None:
    async def story(database: Database) -> None:
        writing = [asyncio.create_task(database.write(add, f"{number}")) for number in range(30)]
        await asyncio.sleep(0.02)
        await database.close()
        outcomes = await asyncio.gather(*writing, return_exceptions=True)
        done = {outcome for outcome in outcomes if isinstance(outcome, str)}
        assert done
        assert all(isinstance(outcome, str | Unreachable) for outcome in outcomes)
        written.update(done)
        gc.collect()  # a connection that was forgotten rather than closed says so now

    written: set[str] = set()
    on_database(settings, story)
    assert on_database(settings, lambda database: database.read(names)) == written


@pytest.mark.rule("ST-4", "FL-6")
def test_bug_in_a_statement_is_no_unreachable_database(settings: Settings) -> None:
    def ask_nonsense(connection: Connection) -> None:
        connection.execute(text("SELECT 1 FROM no_such_table"))

    async def story(database: Database) -> None:
        for call in (database.read, database.write, database.migrate):
            with pytest.raises(DBAPIError, match="no_such_table"):
                await call(ask_nonsense)

    on_database(settings, story)


@pytest.mark.rule("ST-4")
def test_callers_who_leave_disturb_nobody(settings: Settings) -> None:
    def write_two(connection: Connection, name: str) -> None:
        add(connection, f"{name} first")
        add(connection, f"{name} second")

    async def story(database: Database) -> None:
        for turn in range(40):
            leaving = [asyncio.create_task(database.write(write_two, f"{turn} {number}")) for number in range(3)]
            await asyncio.sleep(turn * 0.0003)
            for task in leaving:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
        async with asyncio.timeout(10):
            await asyncio.gather(*(database.write(add, f"staying {number}") for number in range(20)))
        written = await database.read(names)
        assert sum(name.startswith("staying") for name in written) == 20
        firsts = {name.removesuffix(" first") for name in written if name.endswith(" first")}
        assert firsts == {name.removesuffix(" second") for name in written if name.endswith(" second")}

    on_database(settings, story)


def test_postgres_runs_each_flow_as_isolated_as_it_asks(postgres_url: str, sqlite_settings: Settings) -> None:
    settings = sqlite_settings.model_copy(update={"database_url": postgres_url})
    show = "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"

    def look(connection: Connection) -> tuple[str, ...]:
        return tuple(connection.execute(text(show)).one())

    @read_committed(why="it looks at nothing")
    def look_relaxed(connection: Connection) -> tuple[str, ...]:
        return look(connection)

    async def story(database: Database) -> None:
        for _ in range(2):
            assert await database.write(look) == ("serializable", "off")
            assert await database.write(look_relaxed) == ("read committed", "off")
            assert await database.read(look) == ("repeatable read", "on")

    on_database(settings, story)


@pytest.mark.rule("FL-2")
def test_postgres_gives_all_that_one_request_asks_a_limit_together(
    postgres_url: str, sqlite_settings: Settings
) -> None:
    settings = sqlite_settings.model_copy(update={"database_url": postgres_url})

    def dawdle(connection: Connection) -> None:
        connection.execute(text("SELECT pg_sleep(1)"))

    async def story(database: Database) -> None:
        clock = asyncio.get_running_loop().time
        allowance.set(allowed := Allowance())
        allowed.left_seconds, took = 60.0, 0.0
        for ask in (database.read, database.write):
            began_at = clock()
            await ask(dawdle)
            took += clock() - began_at
            await asyncio.sleep(1)  # what else takes its time is free
        assert 2 <= 60 - allowed.left_seconds <= took
        allowed.left_seconds = 0.5
        with pytest.raises(Unreachable):
            await database.write(dawdle)
        allowance.set(None)
        await database.write(dawdle)

    on_database(settings, story)


def relaxed_flows() -> Iterator[tuple[str, Callable[..., object], object]]:
    """Every flow that runs READ COMMITTED, and the reason written on it."""
    for module in pkgutil.walk_packages(ostiary.__path__, "ostiary."):
        if ".__main__" in module.name or ".migrations." in module.name:
            continue
        for thing in vars(importlib.import_module(module.name)).values():
            if callable(thing) and "ostiary_read_committed" in getattr(thing, "__dict__", {}):
                yield f"{thing.__module__}.{thing.__qualname__}", thing, thing.ostiary_read_committed


def test_every_flow_that_is_less_isolated_says_why() -> None:
    found = {name: (flow, why) for name, flow, why in relaxed_flows()}
    assert "ostiary.login.signup.create" in found
    assert len(found) >= 5
    for name, (flow, why) in found.items():
        assert isinstance(why, str), name
        assert len(why.split()) >= 4, name
        assert isolation_of(flow) == "READ COMMITTED", name
    assert isolation_of(create) == "READ COMMITTED"
    assert isolation_of(create_first_superuser) == "SERIALIZABLE"


@pytest.mark.rule("ST-1")
def test_sqlite_connections_are_safe(sqlite_settings: Settings) -> None:
    def pragmas(connection: Connection) -> dict[str, object]:
        asked = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
        return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked}

    async def story(database: Database) -> None:
        safe = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
        assert await database.write(pragmas) == safe | {"query_only": 0}
        # At once, so that each reader is asked.
        for answer in await asyncio.gather(*(database.read(pragmas) for _ in range(8))):
            assert answer == safe | {"query_only": 1}
        assert await database.migrate(pragmas) == safe | {"query_only": 0, "foreign_keys": 0}

    on_database(sqlite_settings, story)


@pytest.mark.rule("ST-1")
def test_files_are_for_their_owner_alone(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        sign_up(client)
    settled(server.settings)  # mail has left, so that no file comes or goes
    data_dir = server.settings.data_dir
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (data_dir, *data_dir.rglob("*"))}
    expected = {"secret.key"}
    if server.settings.database_url is None:
        expected |= {"ostiary.db", "ostiary.db-wal", "ostiary.db-shm"}
    assert expected <= {path.name for path in modes}
    assert modes == {path: 0o700 if path.is_dir() else 0o600 for path in modes}
