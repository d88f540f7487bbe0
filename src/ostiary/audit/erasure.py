"""What leaves the log: personal data when an account ends or after a while, and whole rows after a longer one (LA-4).

The chain stays verifiable: a personal field is in it as a digest, and where rows at its beginning are removed, the
sealed head remembers where it begins.
"""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, Connection, delete, select, update

from ostiary.audit.models import AuditRow, audit_chain, audit_erasures, audit_log
from ostiary.audit.recording import first_id_at
from ostiary.audit.sealing.chain import SealingKeys, link_of
from ostiary.audit.sealing.flows import ONLY, Sealed, store_head, stored_head
from ostiary.db import read_committed
from ostiary.db.statements import insert_into

PERSONAL_KEPT_FOR = timedelta(days=90)
ROWS_KEPT_FOR = timedelta(days=400)
ERASED_AT_ONCE = 5000
ERASED_AGAIN_AFTER = timedelta(hours=1)
"""A request of the account may still have been under way when it ended, and a long history is taken in slices."""

_NOTHING = {"address": None, "user_agent": None, "salt": None}

log = structlog.get_logger(__name__)


def erase_user(connection: Connection, user_id: int, *, now: datetime) -> None:
    """Take out of the log what is personal about a user whose account ends in this transaction; ids stay.

    That is where he, or somebody who was not signed in and tried to be him, came from. A very long history is finished
    by `finish_erasures`.
    """
    _erase(connection, user_id, limit=ERASED_AT_ONCE)
    noting = insert_into(connection, audit_erasures).values(user_id=user_id, noted_at=now)
    connection.execute(noting.on_conflict_do_nothing())


def finish_erasures(connection: Connection, *, now: datetime, limit: int) -> int:
    """Erase again whom `erase_user` has erased some time ago; answer how many rows that were.

    Somebody in whose rows nothing is left any more is done with.
    """
    e = audit_erasures.c
    due = select(e.user_id).where(e.noted_at <= now - ERASED_AGAIN_AFTER).order_by(e.noted_at, e.user_id).limit(limit)
    erased = 0
    for user_id in connection.execute(due).scalars().all():
        erased += _erase(connection, user_id, limit=limit - erased)
        if erased >= limit:
            return erased
        connection.execute(delete(audit_erasures).where(e.user_id == user_id))
    return erased


@read_committed(why="it takes fields out of rows that have them; to do so twice changes nothing")
def forget_origins(connection: Connection, *, before: datetime, limit: int) -> int:
    """Take address and browser out of some rows of before a moment; answer how many.

    How far this has come is kept beside the head, so that rows long done with are not looked at again.
    """
    stored = stored_head(connection)
    if stored is None:
        return 0
    a = audit_log.c
    begin = [] if stored.erased_before is None else [a.id >= first_id_at(stored.erased_before)]
    some = select(a.id, a.at).where(*begin, a.id < first_id_at(before), a.salt.is_not(None)).order_by(a.id).limit(limit)
    rows = connection.execute(some).all()
    if rows:
        connection.execute(
            update(audit_log).where(a.id >= rows[0].id, a.id <= rows[-1].id, a.salt.is_not(None)).values(_NOTHING)
        )
    come_to = rows[-1].at if len(rows) == limit else before
    if stored.erased_before is None or stored.erased_before < come_to:
        connection.execute(update(audit_chain).where(audit_chain.c.id == ONLY).values(erased_before=come_to))
    return len(rows)


@read_committed(why="the head is locked first, and sealed rows are removed by nobody else")
def remove_rows(connection: Connection, keys: SealingKeys, *, before: datetime, limit: int) -> int:
    """Remove some rows of before a moment from the beginning of the chain; answer how many.

    Rows that are not as they were sealed stay, and all behind them: they are what shows it.
    """
    stored = stored_head(connection, lock=True)
    if stored is None or not keys.holds_head(stored.head, stored.seal, stored.key):
        return 0
    a, head = audit_log.c, stored.head
    query = select(audit_log).where(a.place > head.start_place).order_by(a.place).limit(limit + 1)
    rows = [AuditRow(*row) for row in connection.execute(query)]
    whole = _whole(rows, stored)
    if whole < len(rows) and (not whole or rows[whole - 1].at < before):
        log.error("audit_rows_kept", place=head.start_place + whole + 1, reason="a row is not as it was sealed")
    # The row behind the last to go must follow it: else all of those that go could have been written anew.
    going = 0
    while going < min(whole, limit) and rows[going].at < before:
        going += 1
    is_followed = going < whole or (going and rows[going - 1].link == head.link)
    if not going or not is_followed:
        return 0
    last = rows[going - 1]
    connection.execute(delete(audit_log).where(a.place <= last.place, a.place > head.start_place))
    begins = head._replace(start_place=head.start_place + going, start_link=last.link or b"")
    store_head(connection, begins, keys, now=stored.sealed_at)
    return going


def _whole(rows: list[AuditRow], stored: Sealed) -> int:
    """Count the rows, from the first on, that follow one another as they were sealed."""
    place, link = stored.head.start_place, stored.head.start_link
    for number, row in enumerate(rows):
        if row.place != place + 1 or row.link != link_of(link, row, row.place):
            return number
        place, link = row.place, row.link
    return len(rows)


def _erase(connection: Connection, user_id: int, *, limit: int) -> int:
    a = audit_log.c
    theirs: tuple[ColumnElement[bool], ...] = (
        a.actor_id == user_id,
        (a.user_id == user_id) & a.actor_id.is_(None),
    )
    erased = 0
    for rows in theirs:
        some = select(a.id).where(rows, a.salt.is_not(None)).limit(limit - erased)
        erased += connection.execute(update(audit_log).where(a.id.in_(some)).values(_NOTHING)).rowcount
    return erased
