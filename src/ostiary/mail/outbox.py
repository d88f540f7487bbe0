"""The outbox: mail that was decided on and has not left yet.

A mail is put in by the transaction of the act that it tells of. Its address and its words' values, tokens among them,
rest sealed (SK-3), and the row is gone once the mail is delivered or given up. Whoever delivers takes some mails for a
few minutes; should he die, they are there again when those are over.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from pydantic import TypeAdapter
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)

from ostiary.audit.events import Event
from ostiary.audit.origin import SYSTEM
from ostiary.audit.recording import record
from ostiary.crypto.opaque import new_id
from ostiary.crypto.sealed import Sealer
from ostiary.db import read_committed
from ostiary.db.types import Moment, UserId, metadata
from ostiary.mail.languages import choose_language
from ostiary.mail.messages import MESSAGES, Linked, Message
from ostiary.users.models import User
from ostiary.users.profiles import language_of

LEASE = timedelta(minutes=5)
"""For how long taken mails are one worker's. He stops well before that."""
GIVEN_UP_AFTER = timedelta(days=3)
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=2)

_PLACE = {"table": "mail_outbox", "column": "sealed_content"}

mail_outbox = Table(
    "mail_outbox",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("message", String(64), nullable=False),
    # No foreign key: the last mail about a user outlives him.
    Column("user_id", UserId, index=True),
    Column("sealed_content", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Column("lease_id", String(32)),
)


UNREACHABLE = ".invalid"
"""Where such an address ends (RFC 6761 §6.4): no server may ever take mail for it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail that a worker has taken."""

    id: str
    message: str
    user_id: int | None
    sealed_content: bytes
    created_at: datetime
    expires_at: datetime
    tries: int
    lease_id: str


@dataclass(frozen=True)
class Content:
    """What a mail says, to whom, in which language. Never stored but sealed."""

    to: str
    language: str
    message: Message


def enqueue(
    connection: Connection,
    message: Message,
    *,
    to: str,
    language: str,
    user_id: int | None,
    sealer: Sealer,
    now: datetime,
) -> str:
    """Put a mail into the outbox, in the transaction of the act that it tells of; answer its id, empty for none.

    `to` is an address as it is stored. `language` comes from `choose_language`. A mail with a link is not sent any
    more once that would be worthless. Nothing is put there for an address that no mail can reach, as those of service
    accounts.
    """
    if to.endswith(UNREACHABLE):
        return ""
    lifetime = min(GIVEN_UP_AFTER, message.valid_for) if isinstance(message, Linked) else GIVEN_UP_AFTER
    mail_id = new_id()
    content = {"to": to, "language": language, "values": _adapter(message.name).dump_python(message, mode="json")}
    connection.execute(
        insert(mail_outbox).values(
            id=mail_id,
            message=message.name,
            user_id=user_id,
            sealed_content=sealer.seal(json.dumps(content).encode(), row=mail_id, **_PLACE),
            created_at=now,
            expires_at=now + lifetime,
            due_at=now,
            tries=0,
        )
    )
    return mail_id


def waiting_mails(connection: Connection, user_id: int, *, limit: int) -> list[tuple[str, datetime]]:
    """Answer which mails about a user have not left, and since when they wait."""
    m = mail_outbox.c
    waiting = select(m.message, m.created_at).where(m.user_id == user_id).order_by(m.created_at.desc()).limit(limit)
    return [(message, created_at) for message, created_at in connection.execute(waiting)]


def forget_mails(connection: Connection, user_id: int) -> None:
    """Take back every mail about a user that has not left: he is being deleted, or what they say is void."""
    connection.execute(delete(mail_outbox).where(mail_outbox.c.user_id == user_id))


def tell(
    connection: Connection, user: User, message: Message, *, sealer: Sealer, language: str | None = None, now: datetime
) -> None:
    """Mail a user at his address on file: in the language that he chose, else in that of the request at hand."""
    chosen = choose_language(language_of(connection, user.id), language)
    enqueue(connection, message, to=user.email, language=chosen, user_id=user.id, sealer=sealer, now=now)


def open_content(taken: Taken, sealer: Sealer) -> Content:
    """Answer what a mail says. Raises SealBroken, and LookupError or ValueError for one of another release."""
    content = json.loads(sealer.open(taken.sealed_content, row=taken.id, **_PLACE))
    message = _adapter(taken.message).validate_python(content["values"])
    return Content(content["to"], content["language"], message)


def is_any_due(connection: Connection, *, now: datetime) -> bool:
    """Say whether there is something to take."""
    return connection.execute(select(mail_outbox.c.id).where(mail_outbox.c.due_at <= now).limit(1)).first() is not None


@read_committed(why="each row is locked before it is taken, and rows that another has locked are passed over")
def take_due(connection: Connection, *, limit: int, now: datetime) -> list[Taken]:
    """Take some mails that are due, the longest waiting first: for the length of the lease nobody else gets them."""
    m = mail_outbox.c
    due = select(m.id).where(m.due_at <= now).order_by(m.due_at).limit(limit).with_for_update(skip_locked=True)
    ids = connection.execute(due).scalars().all()
    if not ids:
        return []
    lease_id = new_id()
    connection.execute(update(mail_outbox).where(m.id.in_(ids)).values(due_at=now + LEASE, lease_id=lease_id))
    columns = m.id, m.message, m.user_id, m.sealed_content, m.created_at, m.expires_at, m.tries, m.lease_id
    rows = connection.execute(select(*columns).where(m.lease_id == lease_id, m.id.in_(ids)).order_by(m.created_at))
    return [Taken(*row) for row in rows]


@read_committed(why="it is one conditional statement")
def remove(connection: Connection, taken: Taken) -> bool:
    """Remove a mail that is delivered; answer no where the lease ran out and another has taken it."""
    return connection.execute(delete(mail_outbox).where(_still_ours(taken))).rowcount == 1


@read_committed(why="one conditional statement decides who records it")
def give_up(connection: Connection, taken: Taken, *, now: datetime) -> None:
    """Remove a mail that will not be delivered any more."""
    if remove(connection, taken):
        details = {"message": taken.message, "tries": taken.tries}
        record(connection, Event.MAIL_GIVEN_UP, SYSTEM, user_id=taken.user_id, details=details, now=now)


@read_committed(why="it is one conditional statement")
def postpone(connection: Connection, taken: Taken, *, until: datetime) -> None:
    """Put a mail back that could not be delivered, to be tried again then."""
    again = {"due_at": until, "tries": taken.tries + 1, "lease_id": None}
    connection.execute(update(mail_outbox).where(_still_ours(taken)).values(again))


@read_committed(why="conditional statements on rows that are ours, or else not changed")
def give_back(connection: Connection, mails: Sequence[Taken], *, now: datetime) -> None:
    """Put mails back that were taken and not tried."""
    for taken in mails:
        connection.execute(update(mail_outbox).where(_still_ours(taken)).values(due_at=now, lease_id=None))


def next_try(taken: Taken, *, now: datetime) -> datetime:
    """Decide when to try again: later each time, and not all at once."""
    wait = min(FIRST_WAIT * (1 << min(taken.tries, 20)), LONGEST_WAIT)
    return now + wait / 2 + (wait / 2 * secrets.randbelow(1000) / 1000)


def all_waiting(connection: Connection) -> tuple[int, datetime | None]:
    """Answer how many mails have not left, and since when the oldest waits."""
    count, oldest = connection.execute(select(func.count(), func.min(mail_outbox.c.created_at))).one()
    return count, oldest


def _still_ours(taken: Taken) -> ColumnElement[bool]:
    return (mail_outbox.c.id == taken.id) & (mail_outbox.c.lease_id == taken.lease_id)


@lru_cache(maxsize=len(MESSAGES))
def _adapter(name: str) -> TypeAdapter[Message]:
    return TypeAdapter(MESSAGES[name])
