"""The api_keys table and what one row says."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, ForeignKey, Index, LargeBinary, String, Table, func, select, true

from ostiary.db.types import Moment, UserId, metadata

ID = re.compile(r"[0-9A-Za-z]{22}")

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(22), primary_key=True),
    Column("user_id", UserId, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("key_hash", LargeBinary(32), nullable=False),
    Column("name", String(64), nullable=False),
    Column("scopes", String(1024), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("last_used_at", Moment),
    Index(None, "user_id", "created_at"),
)


@dataclass(frozen=True, slots=True)
class APIKey:
    """A key, as its owner sees it: all but the key itself, of which only a hash is stored."""

    id: str
    user_id: int
    name: str
    scopes: tuple[str, ...]
    """Names of permissions, in order; stored with spaces between them."""
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Some of a user's keys, the newest first, and how many there are in all."""

    items: list[APIKey]
    total: int


_COLUMNS = (
    api_keys.c.id,
    api_keys.c.user_id,
    api_keys.c.name,
    api_keys.c.scopes,
    api_keys.c.created_at,
    api_keys.c.expires_at,
    api_keys.c.last_used_at,
)


def key_by_id(connection: Connection, key_id: str) -> APIKey | None:
    """Answer one key, whoever owns it."""
    query = select(*_COLUMNS).where(api_keys.c.id == key_id)
    # What cannot be an id may be no text either, as a database sees it.
    row = None if ID.fullmatch(key_id) is None else connection.execute(query).first()
    return None if row is None else _from_row(row)


def keys_of(connection: Connection, user_id: int | None, *, skip: int, limit: int) -> KeyPage:
    """Answer a page of a user's keys, expired ones too until they are cleared away; of everybody's for None."""
    whose = true() if user_id is None else api_keys.c.user_id == user_id
    newest_first = select(*_COLUMNS).where(whose).order_by(api_keys.c.created_at.desc(), api_keys.c.id)
    rows = connection.execute(newest_first.offset(skip).limit(limit))
    total = connection.execute(select(func.count()).select_from(api_keys).where(whose)).scalar_one()
    return KeyPage([_from_row(row) for row in rows], total)


def _from_row(row: Sequence[Any]) -> APIKey:
    key_id, user_id, name, scopes, created_at, expires_at, last_used_at = row
    return APIKey(key_id, user_id, name, tuple(scopes.split()), created_at, expires_at, last_used_at)
