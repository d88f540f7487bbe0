"""Whether the database answers, asked at most once a second whatever the number of callers; and who is about to go."""

import structlog

from ostiary.clock import Clock
from ostiary.db import Database, Unreachable
from ostiary.db.coalescer import SharedAnswer
from ostiary.db.schema import HEAD, Standing, State, found, judge, made_by_newer

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
        self._asked = SharedAnswer(
            self._ask, clock, every_seconds=ASKED_AT_MOST_EVERY_SECONDS, patience_seconds=TIME_LIMIT_SECONDS
        )
        self._judged: tuple[tuple[str | None, str | None], Standing] | None = None

    async def is_reachable(self) -> bool:
        """Say whether the database answers."""
        return (await self._answer())[0]

    async def is_ready(self) -> bool:
        """Say whether it answers and holds a schema that this version may work with.

        One that this version must not touch, since a newer version changed it, is not touched again.
        """
        return (await self._answer())[1]

    def heed(self, revision: str | None, oldest: str | None) -> bool:
        """Answer whether the schema may be worked with, and see to it that one of a newer version is left alone."""
        if self._judged is None or self._judged[0] != (revision, oldest):  # judging is slow: once is enough
            self._judged = (revision, oldest), judge(revision, oldest)
            self._tell(self._judged[1])
        return self._judged[1].is_usable

    async def _answer(self) -> tuple[bool, bool]:
        return await self._asked.get() or (False, False)

    async def _ask(self) -> tuple[bool, bool]:
        try:
            return True, self.heed(*await self._db.read(found))
        except Unreachable:
            return False, False
        except Exception:
            log.exception("database_check_failed")  # a probe is told no, never 500 (D3)
            return False, False

    def _tell(self, stands: Standing) -> None:
        if stands.state is State.AHEAD:
            log.info("schema_ahead", schema=stands.revision, known=HEAD)
        elif stands.state is State.NEWER:
            reason = made_by_newer(self._db.place, stands.revision)
            log.error("schema_too_new", schema=stands.revision, known=HEAD, reason=reason)
            self._db.refuse(reason)
        elif not stands.is_usable:
            log.error("schema_too_old", schema=stands.revision, needed=HEAD)
