"""Giving roles to users, and taking them away."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection, delete
from sqlalchemy.exc import IntegrityError

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.crypto.sealed import Sealer
from ostiary.db.statements import insert_into
from ostiary.mail.messages import RolesChanged
from ostiary.mail.outbox import tell
from ostiary.problems import Forbidden, NotFound
from ostiary.roles.models import existing_role, rights_of, roles_of, user_roles
from ostiary.roles.rights import By, check_may_confer, check_may_write_to, rights_now
from ostiary.users.acting import administrator_of
from ostiary.users.listing import Scope
from ostiary.users.models import user_by_id
from ostiary.web.permissions import Rights

MAX_ROLES_PER_USER = 32
MAX_NAMES_LENGTH = 1024
"""Of the names of a user's roles together: they stand in his access tokens, and a token has at most 4 KiB (TK-1)."""


class TooManyRolesOfUser(Forbidden):
    """The user has as many roles as his access tokens have room for (AD-4)."""

    detail = f"A user can have no more than {MAX_ROLES_PER_USER} roles, with {MAX_NAMES_LENGTH} characters in all"
    code = "too_many_roles_of_user"


class Act(Protocol):
    """`grant_role` or `revoke_role`."""

    def __call__(
        self, connection: Connection, by: By, user_id: int, name: str, *, origin: Origin, now: datetime
    ) -> None:
        """Give or take the role."""


def change_roles(
    connection: Connection,
    act: Act,
    by: By,
    user_id: int,
    name: str,
    *,
    scope: Scope,
    sealer: Sealer,
    origin: Origin,
    now: datetime,
) -> None:
    """Give or take a role as `act` does, and tell the user by mail; whom the caller does not see is NotFound (AD-3)."""
    if not scope.holds(user_id):
        raise NotFound
    before = roles_of(connection, user_id)
    act(connection, by, user_id, name, origin=origin, now=now)
    _tell_of_roles(connection, user_id, before, sealer=sealer, origin=origin, now=now)


def _tell_of_roles(
    connection: Connection, user_id: int, before: Collection[str], *, sealer: Sealer, origin: Origin, now: datetime
) -> None:
    """Mail a user which roles he has now, if they are others than before."""
    user, held = user_by_id(connection, user_id), roles_of(connection, user_id)
    if user is None or set(held) == set(before):
        return
    by = administrator_of(connection, user_id, origin)
    notice = RolesChanged(username=user.username, at=now, by=by, roles=tuple(held))
    tell(connection, user, notice, sealer=sealer, now=now)


def grant_role(connection: Connection, by: By, user_id: int, name: str, *, origin: Origin, now: datetime) -> None:
    """Give a user a role; nothing happens if he has it already.

    Raises NotFound, Forbidden, RightsExceeded (for what the role gives, or for what the user may do already),
    TooManyRolesOfUser.
    """
    rights = rights_now(connection, by, "roles:write")
    confer_role(connection, rights, user_id, name, origin=origin, now=now)


def confer_role(
    connection: Connection, rights: Rights, user_id: int, name: str, *, origin: Origin, now: datetime
) -> None:
    """Give a user a role, on behalf of who has these rights and was found to be allowed to.

    Raises NotFound, RightsExceeded, TooManyRolesOfUser.
    """
    target = rights_of(connection, user_id)
    role = existing_role(connection, name)
    check_may_write_to(rights, target)
    check_may_confer(rights, role.rights)
    held = roles_of(connection, user_id)
    if name in held:
        return
    if len(held) >= MAX_ROLES_PER_USER or sum(map(len, held)) + len(name) > MAX_NAMES_LENGTH:
        raise TooManyRolesOfUser
    insert = insert_into(connection, user_roles).values(user_id=user_id, role=name, granted_at=now)
    try:
        connection.execute(insert)
    except IntegrityError:  # the user or the role went in the meantime, which PostgreSQL's constraint sees
        raise NotFound from None
    record(connection, Event.ROLE_GRANTED, origin, user_id=user_id, details={"role": name}, now=now)


def revoke_role(connection: Connection, by: By, user_id: int, name: str, *, origin: Origin, now: datetime) -> None:
    """Take a role from a user. Raises NotFound also where he does not have it, Forbidden, RightsExceeded."""
    rights = rights_now(connection, by, "roles:write")
    target = rights_of(connection, user_id)
    existing_role(connection, name)
    check_may_write_to(rights, target)
    gone = (
        delete(user_roles)
        .where(user_roles.c.user_id == user_id, user_roles.c.role == name)
        .returning(user_roles.c.user_id)
    )
    if connection.execute(gone).first() is None:
        raise NotFound
    record(connection, Event.ROLE_REVOKED, origin, user_id=user_id, details={"role": name}, now=now)
