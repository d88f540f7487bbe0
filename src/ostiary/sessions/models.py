"""The sessions table and what one row says."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, Row, Select, String, Table, select

from ostiary.db.types import Moment, UserId, metadata
from ostiary.users.models import COLUMNS as USER_COLUMNS
from ostiary.users.models import User, users

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("user_id", UserId, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("authenticated_at", Moment, nullable=False),
    Column("amr", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("user_agent", String(256), nullable=False),
    Column("last_used_at", Moment, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("refresh_hash", LargeBinary(32), nullable=False),
    Column("rotated_at", Moment, nullable=False),
    Column("refresh_expires_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("revoked_at", Moment),
    Column("revoked_because", String(32)),
    Index(None, "user_id", "created_at"),
)


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in on one device. The secret is the refresh token, of which only a hash is here."""

    id: str
    user_id: int
    created_at: datetime
    authenticated_at: datetime
    amr: str
    """Authentication methods (RFC 8176), separated by spaces."""
    address: str
    user_agent: str
    last_used_at: datetime
    generation: int
    """How many times the refresh token was rotated: the live token carries this number."""
    refresh_hash: bytes
    rotated_at: datetime
    """When the live refresh token was issued, which is when the one before it was spent."""
    refresh_expires_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    revoked_because: str | None = None


class Held(NamedTuple):
    """A session and the user it belongs to, as they are at one moment."""

    session: Session
    user: User


_WIDTH = len(sessions.columns)


def select_held(ids: Collection[str]) -> Select[Any]:
    """Answer the query for sessions with their users."""
    held = sessions.join(users, users.c.id == sessions.c.user_id)
    return select(*sessions.columns, *USER_COLUMNS).select_from(held).where(sessions.c.id.in_(ids))


def held_from_row(row: Row[Any]) -> Held:
    """Turn a row of `select_held` into a session and its user."""
    return Held(Session(*row[:_WIDTH]), User(*row[_WIDTH:]))
