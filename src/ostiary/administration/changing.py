"""Changing and removing users. What the command line does, an administrator does by the same flows, once admitted."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from ostiary.accounts.closing import close_account
from ostiary.administration.authority import Administrator, admit, visible
from ostiary.administration.starting import start_change_of_address
from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.context import App
from ostiary.crypto.sealed import Sealer
from ostiary.login.deactivation import deactivate_user, tell_of_deactivation
from ostiary.roles.rights import RightsExceeded
from ostiary.sessions.ending import LiveSession, end_all_sessions, live_sessions
from ostiary.sessions.rotation import Lifetimes
from ostiary.users.accounts import rename, set_active, set_superuser
from ostiary.users.models import User


class Changes(NamedTuple):
    """What is to become of a user; None leaves it as it is."""

    email: str | None = None
    """Parsed, as the next."""
    username: str | None = None
    is_active: bool | None = None
    is_superuser: bool | None = None


def change_as(
    connection: Connection,
    app: App,
    user_id: int,
    changes: Changes,
    *,
    by: Administrator,
    origin: Origin,
    now: datetime,
) -> User:
    """Change a user, as an administrator: all of it or nothing. Of a new address only the proof begins (SU-7).

    Only a superuser makes superusers and unmakes them. Raises NotFound, Forbidden, RightsExceeded, LastSuperuser,
    EmailTaken, UsernameTaken, NoMailbox.
    """
    user, rights = admit(connection, user_id, by, "users:write")
    if changes.is_superuser not in {None, user.is_superuser} and not rights.is_superuser:
        raise RightsExceeded
    if changes.email is not None:
        start_change_of_address(connection, app, user, changes.email, by=by, origin=origin, now=now)
    changed = change(connection, user, changes, origin=origin, now=now)
    if user.is_active and not changed.is_active:
        tell_of_deactivation(connection, changed, sealer=app.sealer, origin=origin, now=now)
    return changed


def change(connection: Connection, user: User, changes: Changes, *, origin: Origin, now: datetime) -> User:
    """Change a user, but for his address. Raises LastSuperuser, UsernameTaken, NotFound."""
    if changes.username is not None:
        user = rename(connection, user.id, changes.username, origin=origin, now=now)
    if changes.is_superuser is not None:
        user = set_superuser(connection, user.id, is_superuser=changes.is_superuser, origin=origin, now=now)
    if changes.is_active:
        user = set_active(connection, user.id, is_active=True, origin=origin, now=now)
    if changes.is_active is False:
        user = deactivate_user(connection, user.id, origin=origin, now=now)
    return user


def remove_as(
    connection: Connection, user_id: int, *, by: Administrator, sealer: Sealer, origin: Origin, now: datetime
) -> User:
    """Remove a user with all that belongs to him, as an administrator; answer who it was.

    Raises NotFound, Forbidden, RightsExceeded, LastSuperuser.
    """
    user, _ = admit(connection, user_id, by, "users:delete")
    close_account(connection, user_id, sealer=sealer, origin=origin, now=now)
    return user


def sessions_as(
    connection: Connection,
    user_id: int,
    *,
    by: Administrator,
    lifetimes: Lifetimes,
    skip: int,
    limit: int,
    now: datetime,
) -> tuple[list[LiveSession], int]:
    """Answer some of the sessions of a user whom an administrator sees, and how many there are. Raises NotFound."""
    visible(connection, user_id, by)
    return live_sessions(connection, user_id, lifetimes=lifetimes, skip=skip, limit=limit, now=now)


def end_sessions_as(connection: Connection, user_id: int, *, by: Administrator, origin: Origin, now: datetime) -> int:
    """End all sessions of a user, as an administrator; answer how many there were.

    Raises NotFound, Forbidden, RightsExceeded.
    """
    admit(connection, user_id, by, "sessions:write")
    return end_sessions(connection, user_id, origin=origin, now=now)


def end_sessions(connection: Connection, user_id: int, *, origin: Origin, now: datetime) -> int:
    """End all sessions of a user; answer how many there were."""
    ended = end_all_sessions(connection, user_id, because="ended_by_administrator", now=now)
    record(connection, Event.SESSIONS_ENDED, origin, user_id=user_id, details={"sessions": ended}, now=now)
    return ended
