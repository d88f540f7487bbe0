"""The sessions table and what one row says."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table

from ostiary.db.types import Moment, UserId, from_milliseconds, metadata, to_milliseconds
from ostiary.web.permissions import ALL_RIGHTS, NO_RIGHTS, Rights

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


class Session(NamedTuple):
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


class Granted(NamedTuple):
    """What a user's access tokens say of him: the names of his roles, in order, and what he may do."""

    roles: tuple[str, ...]
    rights: Rights


class Held(NamedTuple):
    """A session, and the user it belongs to as the gate and access tokens want to know him, all at one moment."""

    session: Session
    user_id: int
    is_active: bool
    is_proven: bool
    """Whether he has proven his address."""
    granted: Granted


def to_stored(session: Session) -> list[Any]:
    """Turn a session into the values of its row, as the database holds them."""
    return [to_milliseconds(value) if isinstance(value, datetime) else value for value in session]


def held_from_stored(row: Sequence[Any]) -> Held:
    """Turn the same columns as the database holds them, past SQLAlchemy, and the user's behind them, into both."""
    session = Session(
        row[0],
        row[1],
        from_milliseconds(row[2]),
        from_milliseconds(row[3]),
        row[4],
        row[5],
        row[6],
        from_milliseconds(row[7]),
        row[8],
        row[9],
        from_milliseconds(row[10]),
        from_milliseconds(row[11]),
        from_milliseconds(row[12]),
        None if row[13] is None else from_milliseconds(row[13]),
        row[14],
    )
    return Held(session, row[15], bool(row[16]), row[17] is not None, granted_from_stored(row[18], row[19]))


def granted_from_stored(is_superuser: object, roles: str | None) -> Granted:
    """Turn a user's roles as the statements in `hot.py` tell them, `name permission permission,…`, into what he has."""
    if not roles:
        return _NOTHING if not is_superuser else _EVERYTHING
    held = sorted(role.split() for role in roles.split(","))
    permissions = [permission for _, *permissions in held for permission in permissions]
    return Granted(tuple(name for name, *_ in held), Rights.of(is_superuser=bool(is_superuser), granted=permissions))


_NOTHING, _EVERYTHING = Granted((), NO_RIGHTS), Granted((), ALL_RIGHTS)
