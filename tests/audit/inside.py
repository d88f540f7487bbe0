"""What tests of the audit log read of it, past the API."""

import json
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from ostiary.audit.models import AuditRow, audit_log
from ostiary.settings import Settings
from tests.sessions.beside import write


class Recorded(NamedTuple):
    """What a row says, without where and when."""

    event: str
    actor_id: int | None
    user_id: int | None
    details: dict[str, Any]


def audit_rows(settings: Settings, *, about: int | None = None) -> list[AuditRow]:
    """Answer all rows, or those that concern somebody, in the order of time."""

    def read(connection: Connection) -> list[AuditRow]:
        query = select(audit_log).order_by(audit_log.c.id)
        if about is not None:
            query = query.where(audit_log.c.user_id == about)
        return [AuditRow(*row) for row in connection.execute(query)]

    return write(settings, read)


def recorded(settings: Settings, *, about: int | None = None) -> list[Recorded]:
    """Answer what all rows say, or those that concern somebody."""
    rows = audit_rows(settings, about=about)
    return [Recorded(row.event, row.actor_id, row.user_id, json.loads(row.details)) for row in rows]
