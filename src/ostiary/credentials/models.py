"""The tables of credentials: passwords, and secrets that are good for one use."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    LargeBinary,
    Select,
    String,
    Table,
    select,
)

from ostiary.crypto.passwords import StoredPassword
from ostiary.db.statements import insert_into
from ostiary.db.types import Moment, UserId, metadata

passwords = Table(
    "passwords",
    metadata,
    Column("user_id", UserId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("password_hash", String(512), nullable=False),
    Column("pepper_id", String(32)),
    Column("updated_at", Moment, nullable=False),
)

one_time_tokens = Table(
    "one_time_tokens",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("purpose", String(32), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("used_at", Moment),
    Column("user_id", UserId, ForeignKey("users.id", ondelete="CASCADE")),
    Index(None, "subject", "purpose"),
    Index(None, "user_id"),
)


def password_of(connection: Connection, user_id: int) -> StoredPassword | None:
    """Answer a user's stored password; None for an account without one."""
    return _stored(connection, _password(user_id))


def password_set_at(connection: Connection, user_id: int) -> datetime | None:
    """Answer when a user's password was stored as it is; None for an account without one."""
    return connection.execute(select(passwords.c.updated_at).where(passwords.c.user_id == user_id)).scalar()


def lock_password(connection: Connection, user_id: int) -> StoredPassword | None:
    """Answer the same, and let nobody replace it before the transaction ends."""
    return _stored(connection, _password(user_id).with_for_update())


def _password(user_id: int) -> Select[Any]:
    return select(passwords.c.password_hash, passwords.c.pepper_id).where(passwords.c.user_id == user_id)


def _stored(connection: Connection, query: Select[Any]) -> StoredPassword | None:
    row = connection.execute(query).first()
    return None if row is None else StoredPassword(row.password_hash, row.pepper_id)


def set_password(connection: Connection, user_id: int, password: StoredPassword, *, now: datetime) -> None:
    """Store a user's password, in place of any earlier one."""
    values = {"password_hash": password.password_hash, "pepper_id": password.pepper_id, "updated_at": now}
    connection.execute(
        insert_into(connection, passwords)
        .values(user_id=user_id, **values)
        .on_conflict_do_update(index_elements=[passwords.c.user_id], set_=values)
    )


def passwords_between(connection: Connection, first_id: int, last_id: int) -> dict[int, StoredPassword]:
    """Answer the stored passwords of the users with these ids and all between."""
    p = passwords.c
    query = select(p.user_id, p.password_hash, p.pepper_id).where(p.user_id.between(first_id, last_id))
    return {row.user_id: StoredPassword(row.password_hash, row.pepper_id) for row in connection.execute(query)}
