"""Judging one user of a file, as sign-up judges a newcomer, and his password hash by PW-6."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ostiary.crypto.phc import parse_foreign_hash
from ostiary.problems import InvalidInput
from ostiary.roles.bulk import check_roles_fit
from ostiary.users.address import (
    SERVICE_DOMAIN,
    is_service_address,
    parse_mailbox,
    parse_username,
)
from ostiary.users.bulk import NewUser
from ostiary.users.profiles import Beside, parse_language, parse_metadata

MEMBERS = (
    "email",
    "username",
    "password_hash",
    "is_active",
    "is_superuser",
    "email_verified",
    "language",
    "metadata",
    "roles",
    "created_at",
)
"""What a file may say of a user, in the order in which we write it."""
ADDED_TO_REJECTS = ("reject_line", "reject_reason")
"""What a reject file says more; passed over when it is imported, mended."""

_KNOWN = frozenset(MEMBERS + ADDED_TO_REJECTS)
_SHOWN_NAME_LENGTH = 64
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z?")
_SECONDS = slice(len("2024-01-01T00:00:00"))


_NOTHING_BESIDE = Beside(email_verified=False, language=None, metadata={})


class Candidate(NamedTuple):
    """Somebody who may be added if his names are free; None is an account without a password."""

    user: NewUser
    password_hash: str | None
    beside: Beside = _NOTHING_BESIDE
    roles: tuple[str, ...] = ()
    """Names, of which it is not known yet whether there are such roles."""


def check(members: Mapping[str, Any], *, now: datetime) -> Candidate:
    """Judge what a line says of a user. Raises InvalidInput, whose detail repeats nothing but names of members."""
    refuse_unknown(members)
    email = parse_mailbox(_text(members, "email"))
    username = parse_username(_text(members, "username"))
    presented = members.get("password_hash")
    if presented is not None and not isinstance(presented, str):
        raise InvalidInput("password_hash must be a string")
    if is_service_address(email.address) and presented is not None:
        raise InvalidInput(f"password_hash must not be given for an address at {SERVICE_DOMAIN}")
    email_verified = _flag(members, "email_verified", default=False)
    user = NewUser(
        email.address,
        email.canonical,
        username,
        username.lower(),  # as canonical_username does with one that has been parsed
        _flag(members, "is_active", default=True),
        _flag(members, "is_superuser", default=False),
        _moment(members["created_at"], now) if "created_at" in members else now.replace(microsecond=0),
        now if email_verified else None,
    )
    return Candidate(
        user,
        None if presented is None else parse_foreign_hash(presented),
        _beside(members, email_verified=email_verified),
        _roles(members),
    )


def _beside(members: Mapping[str, Any], *, email_verified: bool) -> Beside:
    if not email_verified and "language" not in members and "metadata" not in members:
        return _NOTHING_BESIDE  # as for most, and there are millions
    language, metadata = members.get("language"), members.get("metadata")
    if language is not None and not isinstance(language, str):
        raise InvalidInput("language must be a string")
    if metadata is not None and not isinstance(metadata, dict):
        raise InvalidInput("metadata must be an object")
    return Beside(
        email_verified,
        None if language is None else parse_language(language),
        {} if metadata is None else parse_metadata(metadata),
    )


def _roles(members: Mapping[str, Any]) -> tuple[str, ...]:
    if "roles" not in members:
        return ()
    roles = members["roles"]
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise InvalidInput("roles must be a list of strings")
    names = tuple(dict.fromkeys(roles))
    check_roles_fit(names)
    return names


def refuse_unknown(names: Iterable[str]) -> None:
    """Refuse a member that nobody knows, since to drop it would lose what it says. Raises InvalidInput."""
    if _KNOWN.issuperset(names):
        return
    name = next(name for name in names if name not in _KNOWN)
    raise InvalidInput(f"unknown member {shown(name)}; known are {', '.join(MEMBERS)}")


def shown(name: str) -> str:
    """Answer a name of a file as far as it is fit to print."""
    return name if name.isprintable() and name.isascii() and len(name) <= _SHOWN_NAME_LENGTH else "…"


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if value is None:
        raise InvalidInput(f"{name} is required")
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be a string")
    return value


def _flag(members: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = members.get(name, default)
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} must be true or false")
    return value


def _moment(value: object, now: datetime) -> datetime:
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        raise InvalidInput("created_at must be written like 2024-01-01T00:00:00, in UTC")
    try:
        moment = datetime.fromisoformat(value[_SECONDS]).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInput("created_at is no date and time that exists") from None
    if moment > now:
        raise InvalidInput("created_at must not be in the future")
    return moment
