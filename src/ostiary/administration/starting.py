"""What administrators only start, for whoever holds the mailbox to finish: resets, changes of address, invitations."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from ostiary.administration.authority import Administrator, admit
from ostiary.audit.origin import Origin
from ostiary.context import App
from ostiary.problems import Forbidden, InvalidInput, NotFound
from ostiary.roles.models import Role, existing_role
from ostiary.roles.rights import check_may_confer, rights_now
from ostiary.users.address import is_service_address
from ostiary.users.models import User, lock_user, user_by_id
from ostiary.verification import invitations, recovery
from ostiary.verification.addresses import start_email_change


class NoMailbox(Forbidden):
    """The user is a service account: nobody reads mail for it."""

    detail = "This is a service account, which has no mailbox"
    code = "no_mailbox"


class UserInactive(Forbidden):
    """The user is deactivated, and nothing that he were mailed would do anything."""

    detail = "This user is deactivated"
    code = "user_inactive"


class Invited(NamedTuple):
    """Who is to be invited: address and username parsed."""

    email: str
    username: str | None
    roles: Sequence[str]


def start_reset_as(
    connection: Connection, app: App, user_id: int, *, by: Administrator, origin: Origin, now: datetime
) -> None:
    """Mail a user the link by which he sets a new password, as an administrator.

    Raises what `admit` and `start_reset` raise.
    """
    admit(connection, user_id, by, "users:write")
    start_reset(connection, app, user_id, by=_name(connection, by), origin=origin, now=now)


def start_reset(connection: Connection, app: App, user_id: int, *, by: str, origin: Origin, now: datetime) -> None:
    """Mail a user the link by which he sets a new password; what he has until then stays good (RC-4).

    Raises NotFound, NoMailbox, UserInactive.
    """
    user = _reachable(connection, user_id)
    if not user.is_active:
        raise UserInactive
    recovery.start_reset(connection, app, user, origin, by=by, now=now)


def start_change_of_address(
    connection: Connection, app: App, user: User, email: str, *, by: Administrator, origin: Origin, now: datetime
) -> None:
    """Mail a new address, which has been parsed, for proof, and tell the old one (SU-7). The caller was admitted.

    Raises EmailTaken, NoMailbox, NotFound.
    """
    if email != user.email:
        user = _reachable(connection, user.id)
        start_email_change(connection, app, user, email, origin, by=_name(connection, by), now=now)


def invite_as(
    connection: Connection,
    app: App,
    invited: Invited,
    *,
    by: Administrator,
    origin: Origin,
    language: str,
    now: datetime,
) -> None:
    """Mail somebody an invitation, as an administrator; with roles, if he may give each of them.

    Raises Forbidden, RightsExceeded, and what `invite` raises.
    """
    rights = rights_now(connection, by.caller, "users:write")
    if invited.roles:
        rights = rights_now(connection, by.caller, "roles:write")
    for role in _roles(connection, invited):
        check_may_confer(rights, role.rights)
    invite(connection, app, invited, by=_name(connection, by), origin=origin, language=language, now=now)


def invite(
    connection: Connection, app: App, invited: Invited, *, by: str, origin: Origin, language: str, now: datetime
) -> None:
    """Mail somebody an invitation, in place of an earlier one to the same address.

    Raises EmailTaken, UsernameTaken, SignupClosed, InvalidInput for a role that does not exist.
    """
    _roles(connection, invited)
    invitations.invite(
        connection,
        app,
        email=invited.email,
        username=invited.username,
        roles=invited.roles,
        origin=origin,
        by=by,
        language=language,
        now=now,
    )


def _roles(connection: Connection, invited: Invited) -> list[Role]:
    """Answer the roles that somebody is to have. Raises InvalidInput for one that does not exist."""
    try:
        return [existing_role(connection, name) for name in invited.roles]
    except NotFound:
        raise InvalidInput("roles: one of them does not exist") from None


def _reachable(connection: Connection, user_id: int) -> User:
    """Answer a user who is to be mailed, his row locked. Raises NotFound, NoMailbox."""
    user = lock_user(connection, user_id)
    if user is None:
        raise NotFound
    if is_service_address(user.email):
        raise NoMailbox
    return user


def _name(connection: Connection, by: Administrator) -> str:
    """Answer how mails name an administrator."""
    user = user_by_id(connection, by.caller.user_id)
    return "" if user is None else user.username
