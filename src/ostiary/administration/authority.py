"""Who may act on whom: asked again inside the transaction of the act, of rights as they are by then (AD-3, AD-4)."""

from typing import NamedTuple

from sqlalchemy import Connection

from ostiary.problems import Forbidden, InvalidCredentials, NotFound
from ostiary.roles.models import rights_of
from ostiary.users.listing import Scope
from ostiary.users.models import User, user_by_id
from ostiary.web.permissions import Permission, Rights


class RightsExceeded(Forbidden):
    """The user has rights that the caller has not, or would be given some (AD-4)."""

    detail = "Nobody may change a user who has more rights than himself, or confer what he does not have"
    code = "rights_exceeded"


class Administrator(NamedTuple):
    """A caller who acts on other users."""

    user_id: int
    rights: Rights
    """What he could do when he was recognised, and with what he presented."""
    scope: Scope
    """Whom he sees."""


def rights_now(connection: Connection, by: Administrator) -> Rights:
    """Answer what a caller may do by now: somebody may have demoted or deactivated him a moment ago.

    Raises InvalidCredentials.
    """
    user = user_by_id(connection, by.user_id)
    if user is None or not user.is_active:
        raise InvalidCredentials(reason="the caller was deactivated or deleted meanwhile")
    return rights_of(connection, by.user_id).within(by.rights)


def visible(connection: Connection, user_id: int, by: Administrator) -> User:
    """Answer a user whom the caller sees. Raises NotFound, for all others alike."""
    user = user_by_id(connection, user_id) if by.scope.holds(user_id) else None
    if user is None:
        raise NotFound
    return user


def admit(connection: Connection, user_id: int, by: Administrator, permission: Permission) -> tuple[User, Rights]:
    """Answer a user on whom the caller may act, and what the caller may do.

    Raises NotFound, Forbidden, RightsExceeded, InvalidCredentials.
    """
    rights = rights_now(connection, by)
    if not rights.may(permission):
        raise Forbidden(reason=f"user {by.user_id} lost {permission} meanwhile")
    user = visible(connection, user_id, by)
    if not rights.covers(rights_of(connection, user_id)):
        raise RightsExceeded
    return user, rights
