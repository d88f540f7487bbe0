"""Counting for all nodes in the PostgreSQL database that they share."""

from collections.abc import Sequence

from ostiary.counters.hot import CHECK, CLEAR_AWAY, COUNT
from ostiary.counters.store import Away, Counted, Hit, asked_about, verdicts
from ostiary.counters.windows import Verdict
from ostiary.db import Unreachable
from ostiary.db.hot import Row
from ostiary.db.postgres import DirectConnection

CLEARED_AT_ONCE = 2000


class PostgresStore:
    """An unlogged table: no write of it waits for a disk, and it is empty after a crash or a failover.

    Each list of hits is one statement, on a connection of its own: what waits in the pool for slower work must not keep
    the counting waiting. Lists lock their rows in the order of keys, so none of two can wait for the other for ever.
    """

    name = "database"

    def __init__(self, url: str, *, statement_cache: bool = True) -> None:
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


async def _fetch(connection: DirectConnection, statement: str, *values: object) -> Sequence[Row]:
    try:
        return await connection.fetch(statement, *values)
    except Unreachable as problem:
        raise Away(problem.reason) from problem
