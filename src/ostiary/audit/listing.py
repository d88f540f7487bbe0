"""Reading the log page by page, the newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from ostiary.audit.events import Event
from ostiary.audit.models import AuditRow, audit_log
from ostiary.audit.recording import first_id_at

MOST_COUNTED = 10_000
"""A log grows without end; what a total says beyond this is nothing that anybody reads."""


class Wanted(NamedTuple):
    """Which rows somebody asks for: those that fit all that is given."""

    user_id: int | None = None
    actor_id: int | None = None
    event: Event | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Rows of this very moment are not among them."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Answer what rows must fulfil. Ids begin with the moment, so their order is that of time."""
        a = audit_log.c
        wanted: list[ColumnElement[bool]] = []
        if self.user_id is not None:
            wanted.append(a.user_id == self.user_id)
        if self.actor_id is not None:
            wanted.append(a.actor_id == self.actor_id)
        if self.event is not None:
            wanted.append(a.event == self.event.value)
        if self.since is not None:
            wanted.append(a.id >= first_id_at(self.since))
        if self.until is not None:
            wanted.append(a.id < first_id_at(self.until))
        return wanted


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page of the log."""

    items: list[AuditRow]
    total: int
    """How many rows fit, counted up to MOST_COUNTED."""
    is_capped: bool
    """There are more than that."""
    has_next: bool


def rows_about(connection: Connection, user_id: int, *, limit: int) -> list[AuditRow]:
    """Answer what concerns a user and what he did, the newest first, so many at most."""
    found: dict[str, AuditRow] = {}
    for wanted in (Wanted(user_id=user_id), Wanted(actor_id=user_id)):
        newest = select(audit_log).where(*wanted.conditions()).order_by(audit_log.c.id.desc()).limit(limit)
        found |= {row.id: AuditRow(*row) for row in connection.execute(newest)}
    return [found[key] for key in sorted(found, reverse=True)[:limit]]


def list_rows(
    connection: Connection, wanted: Wanted, *, skip: int = 0, limit: int, after: str | None = None
) -> AuditPage:
    """Answer a page of what is wanted, the newest first; `after` is the id of the last row of the page before."""
    conditions = wanted.conditions()
    counted = select(audit_log.c.id).where(*conditions).limit(MOST_COUNTED + 1).subquery()
    total = connection.execute(select(func.count()).select_from(counted)).scalar_one()
    if after is not None:
        conditions.append(audit_log.c.id < after)
    query = select(audit_log).where(*conditions).order_by(audit_log.c.id.desc()).offset(skip).limit(limit + 1)
    rows = [AuditRow(*row) for row in connection.execute(query)]
    return AuditPage(rows[:limit], min(total, MOST_COUNTED), total > MOST_COUNTED, len(rows) > limit)


def count_rows(connection: Connection, wanted: Wanted) -> int:
    """Count all rows that are wanted, however many: for those who walk through all of them anyway."""
    return connection.execute(select(func.count()).select_from(audit_log).where(*wanted.conditions())).scalar_one()


def rows_after(connection: Connection, wanted: Wanted, after: str, *, limit: int) -> list[AuditRow]:
    """Answer the wanted rows that come next after an id, the oldest first."""
    conditions = [*wanted.conditions(), audit_log.c.id > after]
    query = select(audit_log).where(*conditions).order_by(audit_log.c.id).limit(limit)
    return [AuditRow(*row) for row in connection.execute(query)]
