"""Whether the database answers, asked at most once a second whatever the number of callers; and who is about to go."""

import asyncio

import structlog
from sqlalchemy import Connection

from ostiary.clock import Clock
from ostiary.db import Database, Unreachable
from ostiary.db.schema import HEAD, current_revision

ASKED_AT_MOST_EVERY_SECONDS = 1.0
TIME_LIMIT_SECONDS = 1.5
"""The contract allows an answer 2 s."""


log = structlog.get_logger(__name__)


class Departure:
    """Whether this process is about to go. It is told before it stops, so that balancers look elsewhere in time."""

    is_announced = False

    def announce(self) -> None:
        """Say so from now on; there is no way back."""
        self.is_announced = True


class DatabaseCheck:
    """One shared answer to all probes."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._asking: asyncio.Task[tuple[bool, bool]] | None = None
        self._asked_at = float("-inf")

    async def is_reachable(self) -> bool:
        """Say whether the database answers."""
        return (await self._answer())[0]

    async def is_ready(self) -> bool:
        """Say whether it answers and holds the schema that this version needs."""
        return (await self._answer())[1]

    async def _answer(self) -> tuple[bool, bool]:
        now = self._clock.monotonic()
        if self._asking is None or (self._asking.done() and now - self._asked_at >= ASKED_AT_MOST_EVERY_SECONDS):
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask())
        asking = self._asking
        if asking.done():
            return asking.result()
        # A database that hangs is given up in its own time; the callers are not kept waiting for that.
        left = max(0.0, self._asked_at + TIME_LIMIT_SECONDS - now)
        done, _ = await asyncio.wait([asking], timeout=left)
        return asking.result() if done else (False, False)

    async def _ask(self) -> tuple[bool, bool]:
        try:
            return True, await self._db.read(_is_current)
        except Unreachable:
            return False, False
        except Exception:
            log.exception("database_check_failed")  # a probe is told no, never 500 (D3)
            return False, False


def _is_current(connection: Connection) -> bool:
    return current_revision(connection) == HEAD
