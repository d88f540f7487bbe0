"""Service accounts: users who are programs. They have no password, get no mail, and act by API keys alone.

Whoever may make keys makes them and their keys, and nobody gets by them to what he may not do himself (AD-4): a service
account gets no role, and its key no scope, beyond the rights of whoever asks. Otherwise they are users like any other.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection

from ostiary.api_keys.ending import revoke_key
from ostiary.api_keys.format import NewKey
from ostiary.api_keys.making import WantedKey, admit_session, make_key_for
from ostiary.api_keys.models import APIKey, KeyPage, keys_of
from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.problems import InvalidInput, NotFound
from ostiary.roles.granting import confer_role
from ostiary.roles.models import rights_of
from ostiary.roles.rights import By, check_may_write_to, rights_now
from ostiary.sessions.gate import Demands
from ostiary.users.accounts import add_user
from ostiary.users.address import is_service_address, parse_username, service_email
from ostiary.users.models import User, user_by_id
from ostiary.users.profiles import mark_verified
from ostiary.web.caller import Caller


def make_service_account(
    connection: Connection, by: By, username: str, role_names: Iterable[str], *, origin: Origin, now: datetime
) -> User:
    """Add a service account with these roles: all of it or nothing.

    Raises InvalidInput, UsernameTaken, EmailTaken, Forbidden, RightsExceeded, TooManyRolesOfUser.
    """
    rights = rights_now(connection, by, "keys:write")
    email = service_email(parse_username(username)).address
    user = add_user(connection, email=email, username=username, is_superuser=False, now=now)
    mark_verified(connection, user.id, now=now)  # there is no mailbox that could prove anything
    record(connection, Event.SERVICE_ACCOUNT_CREATED, origin, user_id=user.id, now=now)
    for name in dict.fromkeys(role_names):
        try:
            confer_role(connection, rights, user.id, name, origin=origin, now=now)
        except NotFound:
            raise InvalidInput("roles: there is no role of this name") from None
    return user


def make_service_key(
    connection: Connection,
    caller: Caller,
    user_id: int,
    new: NewKey,
    wanted: WantedKey,
    *,
    demands: Demands,
    origin: Origin,
    now: datetime,
) -> APIKey:
    """Add a key for a service account, of whoever may do as much.

    Raises NotFound for whatever is no service account, Forbidden, RightsExceeded, InvalidCredentials where the gate
    does, and what `make_key_for` raises.
    """
    rights = rights_now(connection, caller, "keys:write")
    admit_session(connection, caller.user_id, caller.session_id, demands, now)
    _existing(connection, user_id)
    check_may_write_to(rights, rights_of(connection, user_id))
    return make_key_for(connection, user_id, new, wanted, origin=origin, now=now)


def list_service_keys(connection: Connection, user_id: int, *, skip: int, limit: int) -> KeyPage:
    """Answer a page of a service account's keys. Raises NotFound for whatever is no service account."""
    _existing(connection, user_id)
    return keys_of(connection, user_id, skip=skip, limit=limit)


def revoke_service_key(
    connection: Connection, caller: Caller, user_id: int, key_id: str, *, origin: Origin, now: datetime
) -> APIKey:
    """Remove a key of a service account. Raises NotFound, Forbidden, RightsExceeded."""
    rights = rights_now(connection, caller, "keys:write")
    _existing(connection, user_id)
    check_may_write_to(rights, rights_of(connection, user_id))
    return revoke_key(connection, key_id, owner_id=user_id, origin=origin, now=now)


def _existing(connection: Connection, user_id: int) -> User:
    user = user_by_id(connection, user_id)
    if user is None or not is_service_address(user.email):
        raise NotFound
    return user
