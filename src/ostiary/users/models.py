"""The users table, what one row looks like in Python, and the look-ups that other slices may call."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Identity, Index, Row, Select, String, Table, or_, select

from ostiary.db.types import Moment, UserId, from_milliseconds, metadata

MAX_ID = 2**63 - 1


def _key(length: int) -> String:
    """Answer the type of a key, which both engines compare by its bytes: keys that begin alike lie together."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


users = Table(
    "users",
    metadata,
    Column("id", UserId, Identity(always=False), primary_key=True),
    Column("email", String(254), nullable=False),
    Column("email_key", _key(254), nullable=False, unique=True),
    Column("username", String(64), nullable=False),
    Column("username_key", _key(64), nullable=False, unique=True),
    Column("is_active", Boolean, nullable=False),
    Column("is_superuser", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("email_verified_at", Moment),
    Column("last_login_at", Moment),
    sqlite_autoincrement=True,  # an id is never given out twice, the newest user's neither
)
_unusual = or_(~users.c.is_active, users.c.is_superuser)
Index("ix_users_class", users.c.is_active, users.c.is_superuser, users.c.id)
Index("ix_users_class_created_at", users.c.is_active, users.c.is_superuser, users.c.created_at, users.c.id)
for _name in ("email_key", "username_key"):
    Index(
        f"ix_users_unusual_{_name}",
        users.c.is_active,
        users.c.is_superuser,
        users.c[_name],
        sqlite_where=_unusual,
        postgresql_where=_unusual,
    )


reserved_usernames = Table(
    "reserved_usernames",
    metadata,
    Column("username_key", String(64), primary_key=True),
    Column("reserved_at", Moment, nullable=False),
)
"""Names that somebody was told he has, while the address he signed up with was another's (SU-3)."""


@dataclass(frozen=True, slots=True)
class User:
    """An account, as the contract shows it."""

    id: int
    email: str
    username: str
    is_active: bool
    is_superuser: bool
    created_at: datetime
    updated_at: datetime


COLUMNS = (
    users.c.id,
    users.c.email,
    users.c.username,
    users.c.is_active,
    users.c.is_superuser,
    users.c.created_at,
    users.c.updated_at,
)


def select_users() -> Select[Any]:
    """Answer the query for whole users, to be narrowed."""
    return select(*COLUMNS)


def from_row(row: Row[Any]) -> User:
    """Turn a row of `select_users` into a User."""
    values: tuple[Any, ...] = tuple(row)
    return User(*values)


def from_stored(row: Sequence[Any]) -> User:
    """Turn the same columns as the database holds them, past SQLAlchemy, into a User."""
    user_id, email, username, is_active, is_superuser, created_at, updated_at = row
    return User(
        user_id,
        email,
        username,
        bool(is_active),
        bool(is_superuser),
        from_milliseconds(created_at),
        from_milliseconds(updated_at),
    )


def users_by_id(connection: Connection, ids: Collection[int]) -> dict[int, User]:
    """Answer the users that exist among these ids."""
    rows = connection.execute(select_users().where(users.c.id.in_(ids)))
    return {row.id: from_row(row) for row in rows}


def user_by_id(connection: Connection, user_id: int) -> User | None:
    """Answer one user."""
    return users_by_id(connection, [user_id]).get(user_id)


def lock_user(connection: Connection, user_id: int) -> User | None:
    """Answer one user as he is now, and keep him from being changed or removed before the transaction ends.

    Whoever locks several things of a user takes this one before his password, and that before his sessions.
    """
    here = select_users().where(users.c.id == user_id)
    row = connection.execute(here.with_for_update(key_share=True)).first()
    return None if row is None else from_row(row)


def user_by_email_key(connection: Connection, email_key: str) -> User | None:
    """Answer the user of a canonical address."""
    row = connection.execute(select_users().where(users.c.email_key == email_key)).first()
    return None if row is None else from_row(row)


def user_by_username_key(connection: Connection, username_key: str) -> User | None:
    """Answer the user of a canonical username."""
    row = connection.execute(select_users().where(users.c.username_key == username_key)).first()
    return None if row is None else from_row(row)


def is_reserved(connection: Connection, username_key: str) -> bool:
    """Say whether a canonical username is nobody's and must stay so."""
    r = reserved_usernames.c
    return connection.execute(select(r.username_key).where(r.username_key == username_key)).first() is not None
