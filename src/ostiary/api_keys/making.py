"""Making a key: whose it is, how long it lives, and that nobody hands out what he does not have."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from ostiary.api_keys.format import NewKey
from ostiary.api_keys.models import APIKey, api_keys
from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.crypto.sealed import Sealer
from ostiary.mail.messages import APIKeyMade
from ostiary.mail.outbox import tell
from ostiary.problems import Forbidden, InvalidCredentials, InvalidInput
from ostiary.roles.models import rights_of, written
from ostiary.sessions.gate import Demands, Standing, admit
from ostiary.sessions.hot import HELD_FOR_CHANGE
from ostiary.sessions.models import held_from_stored
from ostiary.users.models import user_by_id, users
from ostiary.web.permissions import PERMISSIONS, Rights

DEFAULT_LIFETIME = timedelta(days=90)
LONGEST_LIFETIME = timedelta(days=365)
"""AK-1."""

MAX_KEYS_PER_USER = 100
MAX_NAME_LENGTH = 64


class ScopeNotHeld(Forbidden):
    """A key can do no more than its owner, nor than whoever makes it."""

    detail = "A key cannot have a scope that its owner or its maker does not hold"
    code = "scope_not_held"


class OwnerDeactivated(Forbidden):
    """Nobody acts by a key of an owner who is kept out, so none is made."""

    detail = "The owner of the key is deactivated"
    code = "user_deactivated"


class TooManyKeys(Forbidden):
    """The owner has as many keys as anybody may have."""

    detail = f"Nobody can have more than {MAX_KEYS_PER_USER} API keys; revoke one first"
    code = "too_many_api_keys"


class WantedKey(NamedTuple):
    """What somebody wants a key to be, checked as far as that goes without the database."""

    name: str
    scopes: tuple[str, ...]
    expires_at: datetime


def wanted_key(name: str, scopes: Iterable[str], expires_at: datetime | None, *, now: datetime) -> WantedKey:
    """Put a wish into order: each scope once, and 90 days where nothing else is said. Raises InvalidInput."""
    if not (1 <= len(name) <= MAX_NAME_LENGTH and name.isprintable() and name == name.strip()):
        raise InvalidInput(f"name: must be 1 to {MAX_NAME_LENGTH} printable characters, without spaces around them")
    known = set(scopes)
    if not known <= set(PERMISSIONS):
        raise InvalidInput(f"scopes: must be from {', '.join(PERMISSIONS)}")
    if expires_at is None:
        expires_at = now.replace(microsecond=0) + DEFAULT_LIFETIME
    if expires_at <= now:
        raise InvalidInput("expires_at: must be in the future")
    if expires_at > now + LONGEST_LIFETIME:
        raise InvalidInput(f"expires_at: must be at most {LONGEST_LIFETIME.days} days ahead")
    return WantedKey(name, tuple(written(known).split()), expires_at)


def make_own_key(
    connection: Connection,
    user_id: int,
    new: NewKey,
    wanted: WantedKey,
    *,
    session_id: str,
    rights: Rights,
    sealer: Sealer,
    demands: Demands,
    origin: Origin,
    now: datetime,
) -> APIKey:
    """Add a key for the user of a session, who has these rights, and tell his address (MF-4).

    His row and the session are locked and read again, so that a deactivation or a log-out either comes first and is
    seen here, or comes after and finds this key. Raises InvalidCredentials where the gate does, ScopeNotHeld,
    TooManyKeys.
    """
    refuse_scopes_beyond(rights, wanted)
    _lock(connection, user_id)
    admit_session(connection, user_id, session_id, demands, now)
    key = add_key(connection, user_id, new, wanted, origin=origin, now=now)
    _tell_owner(connection, key, sealer=sealer, origin=origin, now=now)
    return key


def _tell_owner(connection: Connection, key: APIKey, *, sealer: Sealer, origin: Origin, now: datetime) -> None:
    """Mail the owner that somebody who is signed in to his account has made a key."""
    owner = user_by_id(connection, key.user_id)
    if owner is None:
        return
    notice = APIKeyMade(
        username=owner.username, at=now, source=origin.address, device=origin.user_agent, key_name=key.name
    )
    tell(connection, owner, notice, sealer=sealer, now=now)


def make_key_for(
    connection: Connection, user_id: int, new: NewKey, wanted: WantedKey, *, origin: Origin, now: datetime
) -> APIKey:
    """Add a key for somebody else, on behalf of who was found to be allowed to.

    Raises NotFound, OwnerDeactivated, ScopeNotHeld, TooManyKeys.
    """
    is_active = _lock(connection, user_id)
    rights = rights_of(connection, user_id)
    if not is_active:
        raise OwnerDeactivated
    refuse_scopes_beyond(rights, wanted)
    return add_key(connection, user_id, new, wanted, origin=origin, now=now)


def _lock(connection: Connection, user_id: int) -> bool | None:
    """Keep a user as he is until the transaction ends; answer whether he is active, None where there is none."""
    return connection.execute(select(users.c.is_active).where(users.c.id == user_id).with_for_update()).scalar()


def admit_session(connection: Connection, user_id: int, session_id: str, demands: Demands, now: datetime) -> None:
    """Ask the gate about a session, as it is at this moment. Raises InvalidCredentials."""
    held = HELD_FOR_CHANGE.rows(connection, [session_id])
    if not held:
        raise InvalidCredentials(reason="no such session")
    admit(Standing.of(held_from_stored(held[0])), user_id=user_id, demands=demands, now=now)


def add_key(
    connection: Connection, user_id: int, new: NewKey, wanted: WantedKey, *, origin: Origin, now: datetime
) -> APIKey:
    """Add a key for a user whose row is locked. Raises TooManyKeys."""
    _make_room(connection, user_id, now)
    key = APIKey(new.id, user_id, wanted.name, wanted.scopes, now.replace(microsecond=0), wanted.expires_at, None)
    connection.execute(
        insert(api_keys).values(
            id=key.id,
            user_id=user_id,
            key_hash=new.key_hash,
            name=key.name,
            scopes=" ".join(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
        )
    )
    details = {"key": key.id, "scopes": key.scopes}
    record(connection, Event.API_KEY_CREATED, origin, user_id=user_id, details=details, now=now)
    return key


def refuse_scopes_beyond(rights: Rights, wanted: WantedKey) -> None:
    """Refuse scopes that somebody does not hold. Raises ScopeNotHeld."""
    if not rights.permissions.issuperset(wanted.scopes):
        raise ScopeNotHeld


def _make_room(connection: Connection, user_id: int, now: datetime) -> None:
    """Count a user's keys; those that expired give way, though they would be shown for some days."""
    own = api_keys.c.user_id == user_id
    count = select(func.count()).select_from(api_keys).where(own)
    if connection.execute(count).scalar_one() < MAX_KEYS_PER_USER:
        return
    connection.execute(delete(api_keys).where(own, api_keys.c.expires_at <= now))
    if connection.execute(count).scalar_one() >= MAX_KEYS_PER_USER:
        raise TooManyKeys
