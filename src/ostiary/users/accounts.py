"""Making, changing and removing users: the flows behind sign-up, the command line and administration."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ostiary.audit.erasure import erase_user
from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.crypto.opaque import new_id
from ostiary.db.statements import insert_into
from ostiary.problems import Forbidden, InvalidInput, NotFound
from ostiary.users.address import canonical_email, canonical_username
from ostiary.users.counting import note_added, note_removed
from ostiary.users.models import (
    MAX_ID,
    User,
    is_reserved,
    reserved_usernames,
    user_by_email_key,
    user_by_id,
    user_by_username_key,
    users,
)


class EmailTaken(InvalidInput):
    """Another user has this address, in some spelling."""

    detail = "This e-mail address is already registered"
    code = "email_taken"


class UsernameTaken(InvalidInput):
    """Another user has this username, in some spelling."""

    detail = "This username is already taken"
    code = "username_taken"


class LastSuperuser(Forbidden):
    """Without this user nobody could administer the service any more (AD-4)."""

    detail = "The last active superuser cannot be removed, demoted or deactivated"
    code = "last_superuser"


def add_user(connection: Connection, *, email: str, username: str, is_superuser: bool, now: datetime) -> User:
    """Add an active user; the database's own constraints decide who is first (SU-1).

    `email` and `username` have been parsed. Raises EmailTaken or UsernameTaken.
    """
    email_key, username_key = canonical_email(email), canonical_username(username)
    # Conflicting rows are looked for first only because an INSERT that conflicts uses up an id.
    _refuse_taken(connection, email_key, username_key)
    created = now.replace(microsecond=0)
    user_id = connection.execute(
        insert_into(connection, users)
        .values(
            email=email,
            email_key=email_key,
            username=username,
            username_key=username_key,
            is_active=True,
            is_superuser=is_superuser,
            created_at=created,
            updated_at=created,
        )
        .on_conflict_do_nothing()
        .returning(users.c.id)
    ).scalar()
    if user_id is None:
        _refuse_taken(connection, email_key, username_key)
        raise EmailTaken(reason="taken by somebody who was gone again a moment later")
    note_added(connection, [user_id])
    return User(user_id, email, username, True, is_superuser, created, created)  # noqa: FBT003 - a row, in its order


def _refuse_taken(connection: Connection, email_key: str, username_key: str) -> None:
    if user_by_email_key(connection, email_key) is not None:
        raise EmailTaken
    if user_by_username_key(connection, username_key) is not None or is_reserved(connection, username_key):
        raise UsernameTaken


def pretend_to_add_user(connection: Connection, *, email: str, username: str, now: datetime) -> User:
    """Answer for an address that is taken what `add_user` answers for a new one, with equal work (SU-3).

    The id is never given out again, and the username is reserved: else whoever signs up with it once more would learn
    whether he got it. Raises UsernameTaken.
    """
    stand_in = f"{new_id()}@stand-in.invalid"
    user = add_user(connection, email=stand_in, username=username, is_superuser=False, now=now)
    connection.execute(delete(users).where(users.c.id == user.id))
    note_removed(connection, [user.id])
    name = {"username_key": canonical_username(username), "reserved_at": now}
    connection.execute(insert(reserved_usernames).values(name))
    return replace(user, email=email)


def find_user(connection: Connection, who: str) -> User:
    """Answer the user of an id, an e-mail address or a username. Raises NotFound."""
    user = None
    if who.isascii() and who.isdecimal() and len(who) <= len(str(MAX_ID)) and int(who) <= MAX_ID:
        user = user_by_id(connection, int(who))
    elif "@" in who:
        user = user_by_email_key(connection, canonical_email(who))
    # A username may be all digits too; an id comes first.
    user = user or user_by_username_key(connection, canonical_username(who))
    if user is None:
        raise NotFound
    return user


def change_email(connection: Connection, user_id: int, email: str, *, now: datetime) -> None:
    """Give a user another address, which has been parsed and proven. Raises EmailTaken, also for who loses a race."""
    email_key = canonical_email(email)
    others = (users.c.email_key == email_key) & (users.c.id != user_id)
    if connection.execute(select(users.c.id).where(others)).first() is not None:
        raise EmailTaken
    values = {
        "email": email,
        "email_key": email_key,
        "email_verified_at": now,
        "updated_at": now.replace(microsecond=0),
    }
    try:
        connection.execute(update(users).where(users.c.id == user_id).values(values))
    except IntegrityError as error:  # the constraint decides; whatever else was written goes with this refusal
        raise EmailTaken(reason="taken at the same moment") from error


def set_active(connection: Connection, user_id: int, *, is_active: bool, origin: Origin, now: datetime) -> User:
    """Activate or deactivate. The caller ends the user's sessions. Raises NotFound, LastSuperuser."""
    event = Event.USER_ACTIVATED if is_active else Event.USER_DEACTIVATED
    return _change(connection, user_id, event, origin, now=now, is_active=is_active)


def set_superuser(connection: Connection, user_id: int, *, is_superuser: bool, origin: Origin, now: datetime) -> User:
    """Promote or demote. Raises NotFound, LastSuperuser."""
    event = Event.USER_PROMOTED if is_superuser else Event.USER_DEMOTED
    return _change(connection, user_id, event, origin, now=now, is_superuser=is_superuser)


def rename(connection: Connection, user_id: int, username: str, *, origin: Origin, now: datetime) -> User:
    """Give a user another username, which has been parsed; also the same in another spelling.

    Raises NotFound, UsernameTaken.
    """
    username_key = canonical_username(username)
    other = user_by_username_key(connection, username_key)
    if (other is not None and other.id != user_id) or is_reserved(connection, username_key):
        raise UsernameTaken
    keys = {"username_key": username_key}
    try:
        return _change(connection, user_id, Event.USER_RENAMED, origin, now=now, username=username, keys=keys)
    except IntegrityError:  # somebody took it a moment ago: what decides is the constraint
        raise UsernameTaken from None


def delete_user(connection: Connection, user_id: int, *, origin: Origin, now: datetime) -> None:
    """Remove a user and, by the tables' own constraints, everything that hangs on him.

    Raises NotFound, LastSuperuser.
    """
    user = _existing(connection, user_id)
    gone = connection.execute(delete(users).where(users.c.id == user_id).returning(users.c.id)).first()
    if gone is None:  # somebody else was quicker; nobody may be counted out twice
        raise NotFound
    note_removed(connection, [user_id])
    record(connection, Event.USER_DELETED, origin, user_id=user_id, now=now)
    erase_user(connection, user_id, now=now)
    _keep_one_superuser(connection, lost=user)


def has_users(connection: Connection) -> bool:
    """Say whether anybody has an account."""
    return connection.execute(select(users.c.id).limit(1)).first() is not None


def has_superuser(connection: Connection) -> bool:
    """Say whether anybody can administer the service."""
    return _active_superusers(connection) > 0


def _change(
    connection: Connection,
    user_id: int,
    event: Event,
    origin: Origin,
    *,
    now: datetime,
    keys: Mapping[str, str] | None = None,
    **values: Any,
) -> User:
    before = _existing(connection, user_id)
    after = replace(before, **values, updated_at=now.replace(microsecond=0))
    if replace(after, updated_at=before.updated_at) == before:
        return before
    written = {**values, **(keys or {}), "updated_at": after.updated_at}
    connection.execute(update(users).where(users.c.id == user_id).values(written))
    record(connection, event, origin, user_id=user_id, now=now)
    _keep_one_superuser(connection, lost=before)
    return after


def _existing(connection: Connection, user_id: int) -> User:
    user = user_by_id(connection, user_id)
    if user is None:
        raise NotFound
    return user


def _keep_one_superuser(connection: Connection, *, lost: User) -> None:
    """Refuse what was just written if it took away the last active superuser; the refusal undoes it.

    Two who demote each other at once are told apart by SERIALIZABLE, and on SQLite by there being one writer.
    """
    if lost.is_active and lost.is_superuser and not has_superuser(connection):
        raise LastSuperuser


def _active_superusers(connection: Connection) -> int:
    query = select(func.count()).select_from(users).where(users.c.is_superuser, users.c.is_active)
    return connection.execute(query).scalar_one()
