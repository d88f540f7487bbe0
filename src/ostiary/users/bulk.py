"""Adding many users at once, in one transaction and a fixed few statements: for imports and for filling a database.

A hot path, so SQLite is given text of SQL. What the statements do is what `accounts.add_user` does for one user.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Connection, Text, column, exists, func, select
from sqlalchemy import literal as bound
from sqlalchemy.dialects import postgresql

from ostiary.db.types import to_milliseconds
from ostiary.users.accounts import EmailTaken, UsernameTaken
from ostiary.users.counting import note_added
from ostiary.users.models import users


class NewUser(NamedTuple):
    """Somebody to be added: names parsed and with their keys (`address.py`)."""

    email: str
    email_key: str
    username: str
    username_key: str
    is_active: bool
    is_superuser: bool
    created_at: datetime
    email_verified_at: datetime | None = None


class Taken(NamedTuple):
    """Somebody was not added, since another has his address or his username."""

    problem: type[EmailTaken | UsernameTaken]


_COLUMNS = (
    ("email", Text),
    ("email_key", Text),
    ("username", Text),
    ("username_key", Text),
    ("is_active", Boolean),
    ("is_superuser", Boolean),
    ("created_at", BigInteger),
    ("email_verified_at", BigInteger),
)

_CACHE_KIB = 262_144
_CHECKPOINT_PAGES = 64_000
"""256 MB: pages that several chunks change are written back once."""

_INSERT = """
INSERT INTO users
(id, email, email_key, username, username_key, is_active, is_superuser, created_at, email_verified_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_GIVEN_OUT = "SELECT seq FROM sqlite_sequence WHERE name = 'users'"


def add_users(connection: Connection, newcomers: Sequence[NewUser]) -> list[int | Taken]:
    """Add users in order; answer for each his id, or that he was not added.

    Two who want the same name are told apart by their order, others by the database's own constraints, so that it
    may run READ COMMITTED beside whoever else adds users.
    """
    if not newcomers:
        return []
    add = _add_to_postgres if connection.dialect.name == "postgresql" else _add_to_sqlite
    ids = add(connection, newcomers)
    note_added(connection, [user_id for user_id in ids if user_id is not None])
    left_out = [newcomer for newcomer, user_id in zip(newcomers, ids, strict=True) if user_id is None]
    taken = _among(connection, users.c.email_key, [newcomer.email_key for newcomer in left_out])
    return [
        user_id or Taken(EmailTaken if newcomer.email_key in taken else UsernameTaken)
        for newcomer, user_id in zip(newcomers, ids, strict=True)
    ]


def taken_names(connection: Connection, newcomers: Sequence[NewUser]) -> tuple[set[str], set[str]]:
    """Answer which of the addresses and which of the usernames of some newcomers somebody has, as keys."""
    return (
        _among(connection, users.c.email_key, [newcomer.email_key for newcomer in newcomers]),
        _among(connection, users.c.username_key, [newcomer.username_key for newcomer in newcomers]),
    )


def prepare(connection: Connection) -> None:
    """Let the writing connection keep the indexes in memory: names come in no order, so all of them is touched.

    Each chunk would otherwise read and write most pages of both indexes anew. Only SQLite needs to be told.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA cache_size=-{_CACHE_KIB}")
        connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")


def leave_gap(connection: Connection, ids: int) -> None:
    """Give out some ids to nobody, as deleted users would leave them behind."""
    if connection.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence("users", "id")
        connection.execute(select(func.setval(sequence, func.nextval(sequence) + ids)))
    else:
        connection.exec_driver_sql("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'users'", (ids,))


def _add_to_sqlite(connection: Connection, newcomers: Sequence[NewUser]) -> list[int | None]:
    """Choose the ids ourselves: nobody else writes meanwhile, and one statement for all needs no answer for each."""
    first = (connection.exec_driver_sql(_GIVEN_OUT).scalar() or 0) + 1
    rows = [
        (user_id, *_values(newcomer), to_milliseconds(newcomer.created_at))
        for user_id, newcomer in enumerate(newcomers, first)
    ]
    connection.exec_driver_sql(_INSERT, rows)
    added = set(connection.execute(select(users.c.id).where(users.c.id >= first)).scalars())
    return [user_id if user_id in added else None for user_id in range(first, first + len(newcomers))]


def _add_to_postgres(connection: Connection, newcomers: Sequence[NewUser]) -> list[int | None]:
    """Hand over a list for each column. Conflicting rows are left out first, as each would use up an id."""
    lists = zip(*map(_values, newcomers), strict=True)
    given = (
        func.unnest(*(bound(list(values), ARRAY(kind)) for values, (_, kind) in zip(lists, _COLUMNS, strict=True)))
        .table_valued(*(column(name, kind) for name, kind in _COLUMNS), with_ordinality="place", name="given")
        .render_derived()
    )
    g = given.c
    known_address = exists().where(users.c.email_key == g.email_key)
    known_name = exists().where(users.c.username_key == g.username_key)
    names = [name for name, _ in _COLUMNS]
    new = select(*(g[name] for name in names), g.created_at).where(~known_address, ~known_name).order_by(g.place)
    statement = (
        postgresql.insert(users)
        .from_select([*names, "updated_at"], new)
        .on_conflict_do_nothing()
        .returning(users.c.id, users.c.email_key, users.c.username_key)
    )
    added = {(email_key, username_key): user_id for user_id, email_key, username_key in connection.execute(statement)}
    # Of two alike in both, the first was added, so the second finds nothing left.
    return [added.pop((newcomer.email_key, newcomer.username_key), None) for newcomer in newcomers]


def _values(newcomer: NewUser) -> tuple[str | bool | int | None, ...]:
    verified_at = newcomer.email_verified_at
    verified = None if verified_at is None else to_milliseconds(verified_at)
    return (*newcomer[:-2], to_milliseconds(newcomer.created_at), verified)


def _among(connection: Connection, key: Column[str], wanted: list[str]) -> set[str]:
    """Answer which of many keys are in the table."""
    if not wanted:
        return set()
    if connection.dialect.name == "postgresql":
        here = key == func.any(bound(wanted, ARRAY(Text)))
    else:
        here = key.in_(select(func.json_each(json.dumps(wanted)).table_valued("value").c.value))
    return set(connection.execute(select(key).where(here)).scalars())
