"""Making, changing and deleting roles, and what a role may be."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, delete, exists, func, select, update
from sqlalchemy.exc import IntegrityError

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.db.statements import insert_into
from ostiary.problems import Forbidden, InvalidInput
from ostiary.roles.models import NAME, Role, existing_role, list_roles, roles, user_roles, written
from ostiary.roles.rights import By, RightsExceeded, check_may_confer, rights_now
from ostiary.users.models import users
from ostiary.web.permissions import PERMISSIONS, Rights

MAX_ROLES = 256
"""So that a comparison of all roles stays quick."""

MAX_DESCRIPTION_LENGTH = 200


class RoleExists(InvalidInput):
    """There is a role of this name already."""

    detail = "There is a role of this name already"
    code = "role_exists"


class TooManyRoles(Forbidden):
    """There are as many roles as there can be."""

    detail = f"There can be no more than {MAX_ROLES} roles"
    code = "too_many_roles"


class RoleInUse(Forbidden):
    """Somebody has the role, so it stays."""

    detail = "The role is in use: take it from everybody first"
    code = "role_in_use"


def parse_role(*, name: str, description: str, permissions: Iterable[str]) -> Role:
    """Answer a role as somebody wants it. Raises InvalidInput."""
    if NAME.fullmatch(name) is None:
        raise InvalidInput("name: must be 1 to 64 characters of a-z 0-9 _ -, a letter first")
    return Role(name, parse_description(description), parse_permissions(permissions))


def parse_description(description: str) -> str:
    """Answer what a role is for, as somebody put it: one line. Raises InvalidInput."""
    if len(description) > MAX_DESCRIPTION_LENGTH or not description.isprintable():
        raise InvalidInput(f"description: must be one line of at most {MAX_DESCRIPTION_LENGTH} printable characters")
    return description


def parse_permissions(permissions: Iterable[str]) -> tuple[str, ...]:
    """Answer permissions, each once and in our order. Raises InvalidInput where one does not exist (D3)."""
    wanted = set(permissions)
    if not wanted <= set(PERMISSIONS):
        raise InvalidInput(f"permissions: must be from {', '.join(PERMISSIONS)}")
    return tuple(name for name in PERMISSIONS if name in wanted)


def create_role(connection: Connection, by: By, role: Role, *, origin: Origin, now: datetime) -> Role:
    """Make a role, which confers nothing yet, and may hold only what its maker holds.

    Raises Forbidden, RightsExceeded, RoleExists, TooManyRoles.
    """
    check_may_confer(rights_now(connection, by, "roles:write"), role.rights)
    if connection.execute(select(func.count()).select_from(roles)).scalar_one() >= MAX_ROLES:
        raise TooManyRoles
    values = {"name": role.name, "description": role.description, "permissions": written(role.permissions)}
    insert = insert_into(connection, roles).values(**values, created_at=now, updated_at=now)
    if connection.execute(insert.on_conflict_do_nothing().returning(roles.c.name)).first() is None:
        raise RoleExists
    details = {"role": role.name, "permissions": list(role.permissions)}
    record(connection, Event.ROLE_CREATED, origin, details=details, now=now)
    return role


def change_role(
    connection: Connection,
    by: By,
    name: str,
    *,
    description: str | None = None,
    permissions: tuple[str, ...] | None = None,
    origin: Origin,
    now: datetime,
) -> Role:
    """Change what is given of a role, for all who have it, and answer it as it is then.

    What it is given, they are given, and what it loses, they lose: so whoever changes it must hold all that it held and
    all that it is to hold, and may do at least what each of them may. Raises NotFound, Forbidden, RightsExceeded.
    """
    rights = rights_now(connection, by, "roles:write")
    before = existing_role(connection, name)
    after = replace(
        before,
        description=before.description if description is None else description,
        permissions=before.permissions if permissions is None else permissions,
    )
    check_may_confer(rights, before.rights)
    check_may_confer(rights, after.rights)
    if set(after.permissions) != set(before.permissions):
        _refuse_stronger_holders(connection, rights, name)
    if after == before:
        return before
    values = {"description": after.description, "permissions": written(after.permissions), "updated_at": now}
    connection.execute(update(roles).where(roles.c.name == name).values(**values))
    details = {
        "role": name,
        "added": _beyond(after.permissions, before.permissions),
        "removed": _beyond(before.permissions, after.permissions),
    }
    record(connection, Event.ROLE_CHANGED, origin, details=details, now=now)
    return after


def delete_role(connection: Connection, by: By, name: str, *, origin: Origin, now: datetime) -> None:
    """Remove a role that nobody has. Raises NotFound, Forbidden, RightsExceeded, RoleInUse."""
    rights = rights_now(connection, by, "roles:write")
    role = existing_role(connection, name)
    check_may_confer(rights, role.rights)
    if connection.execute(select(user_roles.c.user_id).where(user_roles.c.role == name).limit(1)).first() is not None:
        raise RoleInUse
    try:
        connection.execute(delete(roles).where(roles.c.name == name))
    except IntegrityError:  # given to somebody in the meantime, which PostgreSQL's constraint sees and our look did not
        raise RoleInUse from None
    details = {"role": name, "permissions": list(role.permissions)}
    record(connection, Event.ROLE_DELETED, origin, details=details, now=now)


def _refuse_stronger_holders(connection: Connection, rights: Rights, name: str) -> None:
    """Refuse if anybody who has the role may do more than these rights: to change the role is to write to him."""
    if rights.is_superuser:
        return
    exceeding = [role.name for role in list_roles(connection) if not rights.covers(role.rights)]
    holders = user_roles.alias("holders")
    superuser = exists().where(users.c.id == holders.c.user_id, users.c.is_superuser)
    stronger = exists().where(user_roles.c.user_id == holders.c.user_id, user_roles.c.role.in_(exceeding))
    query = select(holders.c.user_id).where(holders.c.role == name, superuser | stronger).limit(1)
    if connection.execute(query).first() is not None:
        raise RightsExceeded(reason="somebody who has the role may do more than the caller")


def _beyond(some: Collection[str], others: Collection[str]) -> list[str]:
    return [permission for permission in some if permission not in others]
