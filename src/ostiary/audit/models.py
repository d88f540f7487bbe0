"""The tables: the log, where its chain stands, and whose personal data is still to be taken out of it."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from ostiary.db.types import Moment, UserId, metadata

ID_LENGTH = 32

audit_log = Table(
    "audit_log",
    metadata,
    # Begins with the moment, so that ids are in the order of time and new ones stand together in every index.
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("event", String(64), nullable=False),
    # No foreign keys: a row outlives whom it speaks of, and ids are never given out again.
    Column("actor_id", UserId),
    Column("user_id", UserId),
    Column("origin", String(16), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("details", Text, nullable=False),
    # Personal; taken out after a while, the salt with it.
    Column("address", String(64)),
    Column("user_agent", String(256)),
    Column("salt", LargeBinary(16)),
    Column("personal_digest", LargeBinary(32), nullable=False),
    # Given later, by the chain.
    Column("place", BigInteger, unique=True),
    Column("link", LargeBinary(32)),
    Index(None, "user_id", "id"),
    Index(None, "actor_id", "id"),
    Index(None, "event", "id"),
)
Index(
    "ix_audit_log_unplaced",
    audit_log.c.id,
    sqlite_where=audit_log.c.place.is_(None),
    postgresql_where=audit_log.c.place.is_(None),
)

audit_chain = Table(
    "audit_chain",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("place", BigInteger, nullable=False),
    Column("link", LargeBinary(32), nullable=False),
    Column("start_place", BigInteger, nullable=False),
    Column("start_link", LargeBinary(32), nullable=False),
    Column("seal", LargeBinary(32), nullable=False),
    Column("sealed_with", String(64), nullable=False),
    Column("sealed_at", Moment, nullable=False),
    Column("erased_before", Moment),
)

audit_erasures = Table(
    "audit_erasures",
    metadata,
    Column("user_id", UserId, primary_key=True, autoincrement=False),
    Column("noted_at", Moment, nullable=False),
)


class AuditRow(NamedTuple):
    """One row of the log, in the order of its columns."""

    id: str
    at: datetime
    event: str
    actor_id: int | None
    user_id: int | None
    """Whom it concerns."""
    origin: str
    request_id: str
    details: str
    """A JSON object. Nothing personal in it, and no secrets."""
    address: str | None
    user_agent: str | None
    salt: bytes | None
    personal_digest: bytes
    """Of address and user agent with the salt; stays when they go. Empty where there were none."""
    place: int | None
    """From 1, without gaps; None until the chain has given one."""
    link: bytes | None
    """A digest of this row and the link of the place before."""
