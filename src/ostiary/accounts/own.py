"""What a signed-in user reads and changes of his own account."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ostiary.accounts.closing import close_account
from ostiary.audit.origin import Origin
from ostiary.crypto.sealed import Sealer
from ostiary.problems import InvalidCredentials, NotFound
from ostiary.roles.models import roles_of
from ostiary.users.accounts import rename
from ostiary.users.models import User
from ostiary.users.profiles import Profile, change_profile, profile_of


def read_profile(connection: Connection, user_id: int) -> Profile:
    """Answer the caller's profile. Raises InvalidCredentials."""
    try:
        return profile_of(connection, user_id)
    except NotFound:
        raise _gone() from None


def read_own(connection: Connection, user_id: int) -> tuple[Profile, list[str]]:
    """Answer the caller's profile and the names of his roles. Raises InvalidCredentials."""
    return read_profile(connection, user_id), roles_of(connection, user_id)


def update_profile(connection: Connection, user_id: int, changes: Mapping[str, Any]) -> tuple[Profile, list[str]]:
    """Write `language`, `metadata` or both of the caller, and answer the same. Raises InvalidCredentials."""
    try:
        change_profile(connection, user_id, changes)
    except NotFound:
        raise _gone() from None
    return read_own(connection, user_id)


def update_username(connection: Connection, user_id: int, username: str, *, origin: Origin, now: datetime) -> User:
    """Give the caller another username. Raises InvalidCredentials, UsernameTaken."""
    try:
        return rename(connection, user_id, username, origin=origin, now=now)
    except NotFound:
        raise _gone() from None


def close_own(connection: Connection, user_id: int, *, sealer: Sealer, origin: Origin, now: datetime) -> None:
    """End the caller's account. Raises InvalidCredentials, LastSuperuser."""
    try:
        close_account(connection, user_id, sealer=sealer, origin=origin, now=now)
    except NotFound:
        raise _gone() from None


def _gone() -> InvalidCredentials:
    """Answer the refusal for a caller whose account ended after he was recognised."""
    return InvalidCredentials(reason="the caller's account ended meanwhile")
