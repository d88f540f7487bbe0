"""Who may act on whom: asked again inside the transaction of the act, of rights as they are by then (AD-3, AD-4)."""

from typing import NamedTuple

from sqlalchemy import Connection

from ostiary.problems import NotFound
from ostiary.roles.models import rights_of
from ostiary.roles.rights import check_may_write_to, rights_now
from ostiary.users.listing import Scope
from ostiary.users.models import User, user_by_id
from ostiary.web.caller import Caller
from ostiary.web.permissions import Permission, Rights


class Administrator(NamedTuple):
    """A caller who acts on other users."""

    caller: Caller
    scope: Scope
    """Whom he sees."""


def visible(connection: Connection, user_id: int, by: Administrator) -> User:
    """Answer a user whom the caller sees. Raises NotFound, for all others alike."""
    user = user_by_id(connection, user_id) if by.scope.holds(user_id) else None
    if user is None:
        raise NotFound
    return user


def admit(connection: Connection, user_id: int, by: Administrator, permission: Permission) -> tuple[User, Rights]:
    """Answer a user on whom the caller may act, and what the caller may do.

    Raises NotFound, Forbidden, RightsExceeded.
    """
    rights = rights_now(connection, by.caller, permission)
    user = visible(connection, user_id, by)
    check_may_write_to(rights, rights_of(connection, user_id))
    return user, rights
