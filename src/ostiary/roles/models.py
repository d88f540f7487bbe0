"""The tables of roles and of who has them, and the look-ups that other slices may call."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Column, Connection, ForeignKey, Index, String, Table, Text, select

from ostiary.db.types import Moment, UserId, metadata
from ostiary.problems import NotFound
from ostiary.users.listing import Scope
from ostiary.users.models import user_by_id, users
from ostiary.web.permissions import PERMISSIONS, Rights

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")

roles = Table(
    "roles",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("description", String(200), nullable=False),
    Column("permissions", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
"""A role is known by its name. Its permissions are separated by spaces, as in a token's scope."""

user_roles = Table(
    "user_roles",
    metadata,
    Column("user_id", UserId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(64), ForeignKey("roles.name"), primary_key=True),
    Column("granted_at", Moment, nullable=False),
    Index(None, "role", "user_id"),
)
"""Who has which role. That somebody has it keeps a role from being deleted."""


@dataclass(frozen=True, slots=True)
class Role:
    """A name for a set of permissions."""

    name: str
    description: str
    permissions: tuple[str, ...]

    @property
    def rights(self) -> Rights:
        """What the role gives whoever has it."""
        return Rights.of(is_superuser=False, granted=self.permissions)


def written(permissions: Collection[str]) -> str:
    """Write permissions as they are stored: each once, in the order in which the API lists them."""
    return " ".join(name for name in PERMISSIONS if name in permissions)


def list_roles(connection: Connection) -> list[Role]:
    """Answer all roles, in the order of their names; there are not many."""
    query = select(roles.c.name, roles.c.description, roles.c.permissions)
    found = [Role(name, description, tuple(text.split())) for name, description, text in connection.execute(query)]
    return sorted(found, key=lambda role: role.name)  # PostgreSQL's order is its collation's


def existing_role(connection: Connection, name: str) -> Role:
    """Answer the role of a name. Raises NotFound."""
    query = select(roles.c.description, roles.c.permissions).where(roles.c.name == name)
    # What cannot be a name may be no text either, as a database sees it.
    row = None if NAME.fullmatch(name) is None else connection.execute(query).first()
    if row is None:
        raise NotFound
    return Role(name, row.description, tuple(row.permissions.split()))


def roles_held(connection: Connection, user_id: int, scope: Scope) -> list[Role]:
    """Answer the roles of a user whom the caller sees, in the order of their names. Raises NotFound for all others."""
    if not scope.holds(user_id) or user_by_id(connection, user_id) is None:
        raise NotFound
    held = set(roles_of(connection, user_id))
    return [role for role in list_roles(connection) if role.name in held]


def roles_of(connection: Connection, user_id: int) -> list[str]:
    """Answer the names of a user's roles, in order; none for a user who does not exist."""
    return roles_of_users(connection, [user_id]).get(user_id, [])


def roles_of_users(connection: Connection, ids: Iterable[int]) -> dict[int, list[str]]:
    """Answer the names of the roles of those among these users who have any, each user's in order."""
    held = user_roles.c
    found: dict[int, list[str]] = {}
    for user_id, name in connection.execute(select(held.user_id, held.role).where(held.user_id.in_(list(ids)))):
        found.setdefault(user_id, []).append(name)
    return {user_id: sorted(names) for user_id, names in found.items()}


def rights_of(connection: Connection, user_id: int) -> Rights:
    """Answer what a user may do as long as he is active. Raises NotFound."""
    is_superuser = connection.execute(select(users.c.is_superuser).where(users.c.id == user_id)).scalar()
    if is_superuser is None:
        raise NotFound
    return Rights.of(is_superuser=is_superuser, granted=_granted(connection, user_id))


def _granted(connection: Connection, user_id: int) -> set[str]:
    """Answer all permissions that a user's roles give him."""
    held = user_roles.join(roles, roles.c.name == user_roles.c.role)
    texts = connection.execute(select(roles.c.permissions).select_from(held).where(user_roles.c.user_id == user_id))
    return {name for text in texts.scalars() for name in text.split()}
