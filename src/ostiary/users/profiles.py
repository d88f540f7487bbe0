"""What is known of a user beside the contract's members, which never grow: his address's proof, language, metadata."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, ForeignKey, String, Table, Text, insert, select, update

from ostiary.db.statements import insert_into
from ostiary.db.types import UserId, metadata
from ostiary.problems import InvalidInput, NotFound
from ostiary.users.models import COLUMNS, User, lock_user, users
from ostiary.web.render import json_bytes

MAX_METADATA_BYTES = 16 * 1024
MAX_METADATA_MEMBERS = 128
"""In all objects of it together; a line of an export, which may have 200, holds other members beside."""
MAX_LANGUAGE_LENGTH = 35
"""Enough for every tag that is not an extreme (RFC 5646 §4.4.1)."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*+")

profiles = Table(
    "profiles",
    metadata,
    Column("user_id", UserId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("language", String(MAX_LANGUAGE_LENGTH)),
    Column("metadata", Text, nullable=False),
)
"""A user has no row until something is said in one: reading users for lists stays as quick as it was."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A user, and what is known of him beside."""

    user: User
    email_verified_at: datetime | None
    last_login_at: datetime | None
    language: str | None
    metadata: dict[str, Any]


def profile_of(connection: Connection, user_id: int) -> Profile:
    """Answer a user's profile. Raises NotFound."""
    columns = (*COLUMNS, users.c.email_verified_at, users.c.last_login_at, profiles.c.language, profiles.c.metadata)
    query = select(*columns).select_from(users.outerjoin(profiles)).where(users.c.id == user_id)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound
    *user, verified_at, last_login_at, language, stored = row
    return Profile(User(*user), verified_at, last_login_at, language, json.loads(stored or "{}"))


def language_of(connection: Connection, user_id: int) -> str | None:
    """Answer the language that a user has chosen, a BCP 47 tag."""
    return connection.execute(select(profiles.c.language).where(profiles.c.user_id == user_id)).scalar()


def change_profile(connection: Connection, user_id: int, changes: Mapping[str, Any]) -> None:
    """Write `language`, `metadata`, both or neither, which have been parsed. Raises NotFound."""
    if lock_user(connection, user_id) is None:
        raise NotFound
    values = {name: _written(value) if name == "metadata" else value for name, value in changes.items()}
    if not values:
        return
    connection.execute(
        insert_into(connection, profiles)
        .values({"user_id": user_id, "language": None, "metadata": "{}"} | values)
        .on_conflict_do_update(index_elements=[profiles.c.user_id], set_=values)
    )


def verified_at(connection: Connection, user_id: int) -> datetime | None:
    """Answer when a user proved his address; None where he has not."""
    return connection.execute(select(users.c.email_verified_at).where(users.c.id == user_id)).scalar()


def mark_verified(connection: Connection, user_id: int, *, now: datetime) -> None:
    """Note that a user has shown that mail to his address reaches him; the first time counts."""
    unproven = (users.c.id == user_id) & users.c.email_verified_at.is_(None)
    connection.execute(update(users).where(unproven).values(email_verified_at=now))


def parse_language(text: str) -> str:
    """Accept a well-formed language tag (RFC 5646 §2.2.9) of at most 35 characters. Raises InvalidInput.

    Not only the languages that mails are written in: applications show their own pages by it.
    """
    if len(text) > MAX_LANGUAGE_LENGTH or _LANGUAGE.fullmatch(text) is None:
        raise InvalidInput("language must be a language tag such as en or pt-BR")
    return text


def parse_metadata(value: dict[str, Any]) -> dict[str, Any]:
    """Accept a JSON object of at most 16 KiB as it is stored, and 128 members. Raises InvalidInput."""
    if _members_in(value) > MAX_METADATA_MEMBERS:
        raise InvalidInput(f"metadata must have at most {MAX_METADATA_MEMBERS} members, all objects in it counted")
    if len(json_bytes(value)) > MAX_METADATA_BYTES:
        raise InvalidInput(f"metadata must be at most {MAX_METADATA_BYTES // 1024} KiB long")
    return value


class Beside(NamedTuple):
    """What a file of users says of one beside the user himself."""

    email_verified: bool
    language: str | None
    metadata: dict[str, Any]


def profiles_between(connection: Connection, first_id: int, last_id: int) -> dict[int, Beside]:
    """Answer what is known beside of the users with these ids and all between."""
    u, p = users.c, profiles.c
    query = select(u.id, u.email_verified_at, p.language, p.metadata).select_from(users.outerjoin(profiles))
    return {
        user_id: Beside(verified_at is not None, language, json.loads(stored or "{}"))
        for user_id, verified_at, language, stored in connection.execute(query.where(u.id.between(first_id, last_id)))
    }


def add_profiles(connection: Connection, newcomers: Sequence[tuple[int, Beside]]) -> None:
    """Store language and metadata of users who have just been added, many at once; most have neither."""
    rows = [
        {"user_id": user_id, "language": beside.language, "metadata": _written(beside.metadata)}
        for user_id, beside in newcomers
        if beside.language is not None or beside.metadata
    ]
    if rows:
        connection.execute(insert(profiles), rows)


def _members_in(value: object) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_members_in, value.values()))
    return sum(map(_members_in, value)) if isinstance(value, list) else 0


def _written(value: Any) -> str:
    return json_bytes(value).decode()
