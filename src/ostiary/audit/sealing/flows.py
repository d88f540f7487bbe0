"""Giving rows their place, and sealing the head; by several servers, one at a time."""

from datetime import datetime
from typing import NamedTuple

import structlog
from sqlalchemy import Connection, func, select, update

from ostiary.audit.events import Event
from ostiary.audit.hot import PLACES
from ostiary.audit.models import AuditRow, audit_chain, audit_log
from ostiary.audit.origin import SYSTEM
from ostiary.audit.recording import record
from ostiary.audit.sealing.chain import START, Head, SealingKeys, link_of
from ostiary.db import read_committed
from ostiary.db.statements import insert_into

ONLY = 1
"""The id of the one row."""

log = structlog.get_logger(__name__)


class Sealed(NamedTuple):
    """What is stored of the head."""

    head: Head
    seal: bytes
    key: str
    sealed_at: datetime
    erased_before: datetime | None = None


def oldest_unplaced(connection: Connection) -> str | None:
    """Answer the id of the first row that waits for its place; None where none does."""
    waiting = select(audit_log.c.id).where(audit_log.c.place.is_(None)).order_by(audit_log.c.id).limit(1)
    return connection.execute(waiting).scalar()


def unplaced(connection: Connection) -> tuple[int, datetime | None]:
    """Answer how many rows wait for their places, and since when the oldest does."""
    waiting = select(func.count(), func.min(audit_log.c.at)).where(audit_log.c.place.is_(None))
    count, oldest = connection.execute(waiting).one()
    return count, oldest


def stored_head(connection: Connection, *, lock: bool = False) -> Sealed | None:
    """Answer the head as it is stored; None where nothing was ever sealed."""
    c = audit_chain.c
    query = select(c.place, c.link, c.start_place, c.start_link, c.seal, c.sealed_with, c.sealed_at, c.erased_before)
    query = query.where(c.id == ONLY)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else Sealed(Head(*row[:4]), *row[4:])


def highest_place(connection: Connection) -> int:
    """Answer the highest place that any row has."""
    return connection.execute(select(func.max(audit_log.c.place))).scalar() or 0


@read_committed(why="the head is locked first, and rows that have no place yet are changed by nobody else")
def seal(connection: Connection, keys: SealingKeys, *, limit: int, now: datetime) -> int:
    """Give waiting rows their places, in the order of time as far as they are known, and seal the new head.

    Answers how many there were. Where the head is not as we left it, that is recorded, and the chain goes on behind
    whatever is there: rows must be sealed all the same, and the record is what nobody can take out again.
    """
    stored = _lock_head(connection, keys, now=now)
    head = stored.head
    highest = highest_place(connection)
    broken = not keys.holds_head(head, stored.seal, stored.key) or highest > head.place
    if broken:
        head = _mend(connection, head, highest, now=now)
    first = audit_log.c.event == Event.AUDIT_CHAIN_BROKEN.value
    order = (first.desc(), audit_log.c.id) if broken else (audit_log.c.id,)
    query = select(audit_log).where(audit_log.c.place.is_(None)).order_by(*order).limit(limit)
    link, placed = head.link, []
    for place, row in enumerate(connection.execute(query), head.place + 1):
        link = link_of(link, AuditRow(*row), place)
        placed.append((row.id, place, link))
    if placed:
        PLACES.run(connection, placed)
        store_head(connection, head._replace(place=placed[-1][1], link=link), keys, now=now)
    return len(placed)


def store_head(connection: Connection, head: Head, keys: SealingKeys, *, now: datetime) -> None:
    """Seal a head and store it. The caller has locked the one before."""
    sealed = {"seal": keys.seal_head(head), "sealed_with": keys.current, "sealed_at": now}
    connection.execute(update(audit_chain).where(audit_chain.c.id == ONLY).values(**head._asdict(), **sealed))


def reseal(connection: Connection, keys: SealingKeys, *, now: datetime) -> None:
    """Seal the head with the current secret; one that was not ours before stays as it is, and shows."""
    stored = stored_head(connection, lock=True)
    if stored is not None and keys.holds_head(stored.head, stored.seal, stored.key):
        store_head(connection, stored.head, keys, now=now)


def _lock_head(connection: Connection, keys: SealingKeys, *, now: datetime) -> Sealed:
    """Answer the head, locked until the transaction ends; where there is none yet, the chain begins."""
    stored = stored_head(connection, lock=True)
    if stored is None:
        head = Head()
        values = head._asdict() | {"seal": keys.seal_head(head), "sealed_with": keys.current, "sealed_at": now}
        beginning = insert_into(connection, audit_chain).values(id=ONLY, **values)
        connection.execute(beginning.on_conflict_do_nothing())
        stored = stored_head(connection, lock=True)
    if stored is None:
        raise RuntimeError("the head of the audit chain is gone")
    return stored


def _mend(connection: Connection, head: Head, highest: int, *, now: datetime) -> Head:
    """Record that the head was tampered with, and answer one behind whatever is there."""
    log.error("audit_chain_broken", place=head.place, highest_place=highest)
    details = {"place": head.place, "highest_place": highest}
    record(connection, Event.AUDIT_CHAIN_BROKEN, SYSTEM, details=details, now=now)
    if highest < head.place:
        return head
    link = connection.execute(select(audit_log.c.link).where(audit_log.c.place == highest)).scalar()
    return head._replace(place=highest, link=link or START)
