"""Leases: which of several servers does the work that needs be done once only.

A holder renews his lease by raising its `beat`. Another takes it over once he has watched one beat stand still for the
lease's length on his own monotonic clock: wall clocks of machines differ and are stepped, and neither may keep the
lease of a dead holder alive, nor take it from a living one (FL-5).

A lease spares work and is no lock. A holder that was paused does not know for a moment that another has taken over, so
whatever is done under a lease must also be right when two do it.
"""

from typing import TYPE_CHECKING, NamedTuple

import structlog
from sqlalchemy import BigInteger, Column, Connection, String, Table, and_, delete, or_, select

from ostiary.crypto.opaque import new_id
from ostiary.db.flows import read_committed
from ostiary.db.statements import insert_into
from ostiary.db.types import Moment, metadata

if TYPE_CHECKING:
    from datetime import datetime

    from ostiary.clock import Clock
    from ostiary.db.database import Database

LENGTH_SECONDS = 15.0
"""With rounds of five seconds, another takes over at most 25 seconds after a holder's last."""
RENEWED_EVERY = 0.25
"""As a part of its length."""

log = structlog.get_logger(__name__)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(32), nullable=False),
    Column("beat", BigInteger, nullable=False),
    # By the holder's wall clock; for people, nothing is decided by it.
    Column("renewed_at", Moment, nullable=False),
)


class Beat(NamedTuple):
    """How a lease stands: no two renewals leave the same behind."""

    holder: str
    beat: int


def read_lease(connection: Connection, name: str) -> Beat | None:
    """Answer how a lease stands; None where nobody has it."""
    row = connection.execute(select(leases.c.holder, leases.c.beat).where(leases.c.name == name)).first()
    return None if row is None else Beat(*row)


@read_committed(why="one conditional statement on one row decides")
def take_lease(
    connection: Connection, name: str, holder: str, *, stale: Beat | None = None, now: "datetime"
) -> Beat | None:
    """Take a lease that nobody has, renew one's own, or take over one that still stands as `stale` says.

    Answers how it stands afterwards; None where another gave it up at this very moment.
    """
    c = leases.c
    is_free = c.holder == holder
    if stale is not None:
        is_free = or_(is_free, and_(c.holder == stale.holder, c.beat == stale.beat))
    taking = insert_into(connection, leases).values(name=name, holder=holder, beat=1, renewed_at=now)
    taking = taking.on_conflict_do_update(
        index_elements=[c.name], set_={"holder": holder, "beat": c.beat + 1, "renewed_at": now}, where=is_free
    )
    row = connection.execute(taking.returning(c.holder, c.beat)).first()
    return read_lease(connection, name) if row is None else Beat(*row)


@read_committed(why="it is one conditional statement")
def give_up_lease(connection: Connection, name: str, holder: str) -> None:
    """Let go of a lease, so that another need not wait for its end; without effect on one that another has."""
    connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))


class Lease:
    """A lease as one process sees it; each process is a holder of its own."""

    def __init__(self, db: "Database", clock: "Clock", name: str, *, length_seconds: float = LENGTH_SECONDS) -> None:
        self._db = db
        self._clock = clock
        self._name = name
        self._length = length_seconds
        self._holder = new_id()
        self._is_ours = False
        self._seen: Beat | None = None
        self._seen_at = float("-inf")

    @property
    def is_held(self) -> bool:
        """Whether this process has it, as far as it knows without asking."""
        return self._is_ours and self._clock.monotonic() - self._seen_at < self._length

    async def hold(self) -> bool:
        """Take or renew it; answer whether this process has it now. To be asked every few seconds, and between slices.

        Raises Unreachable.
        """
        now = self._clock.monotonic()
        if self._is_ours and now - self._seen_at < self._length * RENEWED_EVERY:
            return True
        if not self._is_ours:
            stands = await self._db.read(read_lease, self._name)
            if stands != self._seen:
                self._seen, self._seen_at = stands, now
            if stands is not None and now - self._seen_at < self._length:
                return False
        had, stale = self._is_ours, None if self._is_ours else self._seen
        self._seen = await self._db.write(take_lease, self._name, self._holder, stale=stale, now=self._clock.now())
        self._seen_at = now  # before it was asked: the others may have seen this beat since then
        self._is_ours = self._seen is not None and self._seen.holder == self._holder
        if had and not self._is_ours:
            log.warning("lease_lost", lease=self._name)
        elif stale is not None and self._is_ours:
            log.warning("lease_taken_over", lease=self._name)
        return self._is_ours

    async def give_up(self) -> None:
        """Let another have it at once. Raises Unreachable; then the others wait for its end."""
        if self._is_ours:
            self._is_ours = False
            await self._db.write(give_up_lease, self._name, self._holder)
