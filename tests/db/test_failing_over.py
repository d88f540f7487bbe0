"""What a PostgreSQL with standbys does to those who use it: commits that wait, servers that are no longer primary."""

import asyncio
import subprocess
from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, insert, select, text

from ostiary.db import Database, Unreachable
from ostiary.db.hot import Lookup
from ostiary.db.postgres import PostgresDatabase
from tests.parts.postgres import Postgres

NUMBER = Lookup(sqlite="SELECT ?", postgresql="SELECT n FROM unnest($1::bigint[]) AS n")
ARRIVED = Table("arrived", MetaData(), Column("number", Integer, primary_key=True))


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


def arrive(connection: Connection, number: int) -> None:
    connection.execute(insert(ARRIVED).values(number=number))


def arrivals(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(ARRIVED)).scalar_one()


async def until_commits_wait(url: str, superuser: asyncpg.Connection) -> None:
    """Return when PostgreSQL heeds what it was told: commits until one of them waits."""
    beside, commit, tries = await asyncpg.connect(url), None, 0
    while not await superuser.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"):
        if commit is None or commit.done():
            tries += 1
            commit = asyncio.create_task(beside.execute(f"CREATE TABLE commit_{tries} ()"))
        await asyncio.sleep(0.01)
    assert commit is not None
    beside.terminate()
    await asyncio.wait([commit])
    assert commit.exception() is not None


@pytest.mark.rule("FL-1", "FL-2")
def test_commit_that_waits_for_a_standby_is_seen_by_nobody_until_the_standby_has_it(postgres: Postgres) -> None:
    """Whoever gave up waiting for it is answered 503; cancelled, it would be finished, and a failover took it back."""
    url = postgres.create_database()

    async def story(database: Database, beside: Database, superuser: asyncpg.Connection) -> None:
        await database.migrate(ARRIVED.create)
        await superuser.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await superuser.execute("SELECT pg_reload_conf()")
        try:
            await until_commits_wait(url, superuser)
            with pytest.raises(Unreachable):
                await database.write(arrive, 1)
            assert await beside.read(arrivals) == 0
        finally:
            await superuser.execute("ALTER SYSTEM RESET synchronous_standby_names")
            await superuser.execute("SELECT pg_reload_conf()")
        await database.write(arrive, 2)  # which comes after the first in the log
        while await beside.read(arrivals) < 2:  # noqa: ASYNC110 - the one that waited is seen when it has woken
            await asyncio.sleep(0.01)

    async def run() -> None:
        database, beside = PostgresDatabase(url), PostgresDatabase(url)
        superuser = await asyncpg.connect(url)
        try:
            await story(database, beside, superuser)
        finally:
            await superuser.close()
            await database.close()
            await beside.close()

    asyncio.run(run())


@pytest.mark.rule("FL-2")
@pytest.mark.parametrize("state", ["25006", "0A000"])
def test_write_that_meets_a_standby_is_done_on_another_connection(postgres: Postgres, state: str) -> None:
    met: list[int] = []

    def meet(connection: Connection) -> int:
        met.append(connection.execute(select(func.pg_backend_pid())).scalar_one())
        if len(met) == 1:
            connection.execute(text(f"DO $$ BEGIN RAISE 'cannot' USING ERRCODE = '{state}'; END $$"))
        return met[-1]

    async def run() -> None:
        database = PostgresDatabase(postgres.create_database())
        try:
            assert await database.write(meet) == met[1] != met[0]
        finally:
            await database.close()

    asyncio.run(run())


@pytest.mark.rule("FL-2")
def test_server_that_says_farewell_while_nobody_listens_is_not_noticed(postgres: Postgres) -> None:
    """Its last words arrive before its hanging up, and somebody may take the connection in between."""
    url = postgres.create_database()

    def pid(connection: Connection) -> int:
        return int(connection.execute(select(func.pg_backend_pid())).scalar_one())

    def end(pid: int) -> None:
        ending = f"SELECT pg_terminate_backend({pid}, 5000)"
        psql = [str(postgres.binaries.directory / "psql"), url, "--quiet", "--command", ending]
        subprocess.run(psql, check=True, stdout=subprocess.DEVNULL)

    async def be_ended(database: Database, *, turns: int) -> None:
        end(await database.read(pid))  # the loop stands still meanwhile, so that both wait to be read
        for _ in range(turns):
            await asyncio.sleep(0)

    async def run() -> None:
        database = PostgresDatabase(url)
        try:
            for turns in range(6):
                assert await database.look_up(NUMBER, [(7,)]) == [(7,)]
                await be_ended(database, turns=turns)
                assert await database.look_up(NUMBER, [(8,)]) == [(8,)]
                await be_ended(database, turns=turns)
                assert await database.write(pid)
        finally:
            await database.close()

    asyncio.run(run())


@pytest.mark.rule("FL-2")
def test_no_host_that_is_primary_is_a_database_that_is_away(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As through a proxy that has not yet noticed that its primary is one no longer."""

    async def refuse(*_: object, **__: object) -> None:
        raise asyncpg.TargetServerAttributeNotMatched("None of the hosts match the target attribute requirement")

    async def run() -> None:
        database = PostgresDatabase(postgres.create_database())
        try:
            monkeypatch.setattr("asyncpg.connect", refuse)
            for asked in (database.write(arrive, 1), database.read(arrivals), database.look_up(NUMBER, [(7,)])):
                with pytest.raises(Unreachable, match="None of the hosts"):
                    await asked
        finally:
            await database.close()

    asyncio.run(run())
