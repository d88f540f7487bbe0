"""The three stores, each with a clock that a test moves, asked one call after the other."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncpg
import pytest
from redis.asyncio import Redis

from ostiary.clock import SystemClock
from ostiary.counters import Hit, SlidingWindows, Store, Verdict
from ostiary.counters.hot import COUNT_IN_REDIS
from ostiary.counters.postgres import PostgresStore
from ostiary.counters.redis import RedisStore
from ostiary.db.postgres import PostgresDatabase
from ostiary.db.schema import upgrade
from tests.conftest import settings_for_tests
from tests.db.opened import on_database
from tests.parts.valkey import Valkey

T = TypeVar("T")

CLOCK_OF_REDIS = "redis.call('TIME')"
MOVED_CLOCK_OF_REDIS = "{redis.call('HGET', 'clock', 'seconds'), redis.call('HGET', 'clock', 'microseconds')}"
MOVED_CLOCK_OF_POSTGRES = """
CREATE SCHEMA moved;
CREATE TABLE moved.clock AS SELECT to_timestamp(0) AS at;
CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM moved.clock';
"""


class Counting(Protocol):
    """A store and its clock."""

    def count(self, hits: Sequence[Hit], now: float) -> list[Verdict]: ...


class InMemory:
    """What one process counts with by itself, asked hit by hit."""

    def __init__(self) -> None:
        self._windows: dict[tuple[int, int], SlidingWindows] = {}

    def count(self, hits: Sequence[Hit], now: float) -> list[Verdict]:
        return [
            self._windows.setdefault(hit[1:], SlidingWindows(hit.limit, hit.window_seconds)).hit(hit.key, now)
            for hit in hits
        ]


class Shared:
    """A store outside, with an event loop of its own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def count(self, hits: Sequence[Hit], now: float) -> list[Verdict]:
        self.run(self.set_clock(now))
        return self.run(self.store.count(hits))

    async def set_clock(self, now: float) -> None:
        raise NotImplementedError

    async def leave(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.run(self.store.close())
        self.run(self.leave())
        self._runner.close()


class InPostgres(Shared):
    def __init__(self, url: str) -> None:
        self.database = PostgresDatabase(url)
        self.postgres = PostgresStore(url, self.database)
        super().__init__(self.postgres)
        self.beside: asyncpg.Connection = self.run(asyncpg.connect(url))

    async def set_clock(self, now: float) -> None:
        await self.beside.execute("UPDATE moved.clock SET at = to_timestamp($1)", now)

    async def keys(self) -> int:
        return int(await self.beside.fetchval("SELECT count(*) FROM request_counts"))

    async def empty(self) -> None:
        await self.beside.execute("TRUNCATE request_counts")

    async def leave(self) -> None:
        await self.database.close()
        await self.beside.close()


class InRedis(Shared):
    def __init__(self, url: str) -> None:
        super().__init__(RedisStore(url, installation="https://accounts.example.com"))
        self.beside = Redis.from_url(url)

    async def set_clock(self, now: float) -> None:
        seconds, rest = divmod(now, 1)
        await self.beside.hset("clock", mapping={"seconds": int(seconds), "microseconds": int(rest * 1_000_000)})

    async def seconds_left(self, hit: Hit) -> int:
        [key] = [key async for key in self.beside.scan_iter(f"*{hit.key}")]
        return int(await self.beside.ttl(key))

    async def leave(self) -> None:
        await self.beside.aclose()


@contextmanager
def in_postgres(url: str, directory: Path) -> Iterator[InPostgres]:
    """Count in an empty database."""
    make_schema(url, directory)

    async def move_clock() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(MOVED_CLOCK_OF_POSTGRES)
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f'ALTER DATABASE "{name}" SET search_path = moved, pg_catalog, public')
        await connection.close()

    asyncio.run(move_clock())
    with ExitStack() as stack:
        counting = InPostgres(url)
        stack.callback(counting.close)
        yield counting


@contextmanager
def in_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[InRedis]:
    """Count in a Valkey."""
    assert COUNT_IN_REDIS.count(CLOCK_OF_REDIS) == 1
    moved = COUNT_IN_REDIS.replace(CLOCK_OF_REDIS, MOVED_CLOCK_OF_REDIS)
    monkeypatch.setattr("ostiary.counters.redis.COUNT_IN_REDIS", moved)
    with Valkey() as server, ExitStack() as stack:
        counting = InRedis(server.url)
        stack.callback(counting.close)
        yield counting


def make_schema(url: str, directory: Path) -> None:
    """Make the tables in an empty database."""
    settings = settings_for_tests(directory, url)
    now = SystemClock().now()
    on_database(settings, lambda database: upgrade(database, backup_dir=directory, now=now))
