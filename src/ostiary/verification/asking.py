"""Mails that somebody asks for by naming an address: to verify it, or to choose a new password (RC-1, SU-6).

Whoever asks must learn nothing about the address. So the request does the same for each: it writes one row and is
answered. Whether there is such a user, whether he may, whether he was sent enough already, is found out afterwards by
the worker (`worker.py`), in one transaction for each request: what makes the mail also takes the row away.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, delete, insert, select

from ostiary.audit.origin import Origin
from ostiary.db import read_committed
from ostiary.problems import Unavailable
from ostiary.verification.models import mail_requests

MOST_WAITING = 5_000
"""More than that many wait only when the worker is not keeping up, and then nobody's mail would come in time."""
KEPT_FOR = timedelta(hours=1)
"""A request that found no worker for so long is dropped: whoever asked has asked again."""


class Wanted(StrEnum):
    """What somebody asks for."""

    VERIFICATION = "verification"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class MailRequest:
    """One request that waits."""

    id: int
    wanted: Wanted
    email_key: str
    source: str
    origin: Origin
    language: str | None
    requested_at: datetime


@read_committed(why="one row is added; that the bound is exceeded by those who come at once does no harm")
def ask(
    connection: Connection,
    wanted: Wanted,
    email_key: str,
    *,
    source: str,
    origin: Origin,
    language: str | None,
    now: datetime,
) -> None:
    """Write down that a mail is wanted for the address of a key. Raises Unavailable when too many wait."""
    r = mail_requests.c
    if connection.execute(select(r.id).order_by(r.id).offset(MOST_WAITING).limit(1)).first() is not None:
        raise Unavailable(reason="too many mails are asked for", retry_after_seconds=10)
    connection.execute(
        insert(mail_requests).values(
            wanted=wanted.value,
            email_key=email_key,
            source=source,
            address=origin.address,
            user_agent=origin.user_agent,
            request_id=origin.request_id,
            language=language,
            requested_at=now,
        )
    )


def waiting(connection: Connection, *, limit: int) -> list[MailRequest]:
    """Answer some requests that wait, the oldest first."""
    r = mail_requests.c
    rows = connection.execute(select(mail_requests).order_by(r.id).limit(limit))
    return [
        MailRequest(
            id=row.id,
            wanted=Wanted(row.wanted),
            email_key=row.email_key,
            source=row.source,
            origin=Origin(None, row.address, row.user_agent, row.request_id),
            language=row.language,
            requested_at=row.requested_at,
        )
        for row in rows
    ]


def take(connection: Connection, request_id: int) -> bool:
    """Take a request away; False where another worker was quicker. What follows in the transaction answers it."""
    gone = delete(mail_requests).where(mail_requests.c.id == request_id).returning(mail_requests.c.id)
    return connection.execute(gone).first() is not None
