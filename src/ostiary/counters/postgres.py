"""Counting for all nodes in the PostgreSQL database that they share."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from ostiary.counters.hot import BEAT, CHECK, CLAIM, CLEAR_AWAY, COUNT, FORGET_DEAD_NODES, JOIN, LEAVE, SEED
from ostiary.counters.store import Away, Counted, Held, Hit, Standing, asked_about, verdicts
from ostiary.counters.windows import Verdict
from ostiary.crypto.opaque import new_id
from ostiary.db import Database, Unreachable
from ostiary.db.hot import Row
from ostiary.db.postgres import DirectConnection

T = TypeVar("T")

CLEARED_AT_ONCE = 2000


class PostgresStore:
    """An unlogged table: no write of it waits for a disk, and it is empty after a crash or a failover.

    Each list of hits is one statement, on a connection of its own: what waits in the pool for slower work must not keep
    the counting waiting. Lists lock their rows in the order of keys, so none of two can wait for the other for ever.
    """

    name = "database"

    def __init__(self, url: str, db: Database, *, statement_cache: bool = True) -> None:
        self.company = PostgresCompany(url, db, statement_cache=statement_cache)
        self._counting = DirectConnection(url, statement_cache=statement_cache)
        self._clearing = DirectConnection(url, statement_cache=statement_cache)

    async def count(self, hits: Sequence[Hit]) -> list[Verdict]:
        """Serve or refuse each hit. Raises Away."""
        columns = zip(*asked_about(hits), strict=True)
        rows = await _fetch(self._counting, COUNT, *columns)
        return list(verdicts(hits, {row[0]: Counted._make(row) for row in rows}))

    async def check(self) -> None:
        """Ask whether the table can be read. Raises Away."""
        await _fetch(self._counting, CHECK)

    async def clear_away(self) -> None:
        """Delete the rows that have nothing left to count, in slices; two nodes at it get in nobody's way."""
        try:
            while len(await _fetch(self._clearing, CLEAR_AWAY, CLEARED_AT_ONCE)) == CLEARED_AT_ONCE:
                pass
        finally:
            await self._clearing.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._counting.close()
        await self._clearing.close()
        await self.company.close()


class PostgresCompany:
    """A row for each server that counts, with the moment, by PostgreSQL's clock, when it was last heard of."""

    def __init__(self, url: str, db: Database, *, statement_cache: bool) -> None:
        self._db = db
        self._node = new_id()
        self._connection = DirectConnection(url, statement_cache=statement_cache)

    async def join(self) -> Standing:
        """Come, or come again. Raises Away."""
        return await self._write(_join)

    async def beat(self, *, is_alone: bool) -> Standing | None:
        """Say that this server lives. Raises Away."""
        rows = await _fetch(self._connection, BEAT, self._node, is_alone)
        return Standing._make(rows[0]) if rows else None

    async def claim(self) -> bool:
        """Be alone from now on, if there are no others. Raises Away."""
        return await self._write(_claim)

    async def take_over(self, held: Sequence[Held], *, adding: bool) -> None:
        """Count in the store what this server has counted, at least something. Raises Away."""
        await _fetch(self._connection, SEED, *zip(*held, strict=True), adding)

    async def leave(self) -> None:
        """Go. Raises Away."""
        await self._write(_leave)

    async def close(self) -> None:
        """Close its connection."""
        await self._connection.close()

    async def _write(self, flow: Callable[[Connection, str], T]) -> T:
        try:
            return await self._db.write(flow, self._node)
        except Unreachable as problem:
            raise Away(problem.reason) from problem


def _join(connection: Connection, node: str) -> Standing:
    FORGET_DEAD_NODES.run(connection)
    return Standing._make(JOIN.run(connection, node)[0])


def _claim(connection: Connection, node: str) -> bool:
    FORGET_DEAD_NODES.run(connection)
    rows = CLAIM.run(connection, node)
    return bool(rows and rows[0][0])


def _leave(connection: Connection, node: str) -> None:
    LEAVE.run(connection, node)


async def _fetch(connection: DirectConnection, statement: str, *values: object) -> Sequence[Row]:
    try:
        return await connection.fetch(statement, *values)
    except Unreachable as problem:
        raise Away(problem.reason) from problem
