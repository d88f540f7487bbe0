"""Roles of many users at once, when users are moved in with the names of theirs."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, select

from ostiary.problems import InvalidInput
from ostiary.roles.granting import MAX_NAMES_LENGTH, MAX_ROLES_PER_USER, TooManyRolesOfUser
from ostiary.roles.models import roles, user_roles


def check_roles_fit(names: Collection[str]) -> None:
    """See that somebody may have so many roles (AD-4). Raises InvalidInput."""
    if len(names) > MAX_ROLES_PER_USER or sum(map(len, names)) > MAX_NAMES_LENGTH:
        raise InvalidInput(TooManyRolesOfUser.detail)


def roles_among(connection: Connection, names: Collection[str]) -> set[str]:
    """Answer which of these are names of roles."""
    return set(connection.execute(_roles_among(names)).scalars()) if names else set()


def hold_roles(connection: Connection, names: Collection[str]) -> set[str]:
    """Answer the same, and keep those roles from going before the transaction ends."""
    held = _roles_among(names).with_for_update(read=True, key_share=True)
    return set(connection.execute(held).scalars()) if names else set()


def _roles_among(names: Collection[str]) -> Select[Any]:
    return select(roles.c.name).where(roles.c.name.in_(sorted(names))).order_by(roles.c.name)


def add_roles_of_users(connection: Connection, held: Sequence[tuple[int, str]], *, now: datetime) -> None:
    """Give users who have just been added roles that are there."""
    rows = [{"user_id": user_id, "role": name, "granted_at": now} for user_id, name in held]
    if rows:
        connection.execute(insert(user_roles), rows)
