"""How keys end before their time. Answered only once it is durable (TK-7), and effective at once (TK-6)."""

from datetime import datetime

from sqlalchemy import Connection, delete, select

from ostiary.api_keys.models import APIKey, api_keys, key_by_id
from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.problems import NotFound


def revoke_key(connection: Connection, key_id: str, *, owner_id: int, origin: Origin, now: datetime) -> APIKey:
    """Remove one key of a user. Raises NotFound for a key that is no more, or somebody else's."""
    key = key_by_id(connection, key_id)
    if key is None or key.user_id != owner_id:
        raise NotFound
    gone = connection.execute(delete(api_keys).where(api_keys.c.id == key_id).returning(api_keys.c.id)).first()
    if gone is None:  # somebody else was quicker
        raise NotFound
    record(connection, Event.API_KEY_REVOKED, origin, user_id=owner_id, details={"key": key_id}, now=now)
    return key


def end_keys(connection: Connection, user_id: int) -> int:
    """Remove every key of a user; answer how many there were. The act is the caller's, to be recorded there."""
    return connection.execute(delete(api_keys).where(api_keys.c.user_id == user_id)).rowcount


def purge_keys(connection: Connection, *, before: datetime, limit: int) -> int:
    """Remove some keys that expired before a moment; answer how many."""
    some = select(api_keys.c.id).where(api_keys.c.expires_at < before).limit(limit)
    return connection.execute(delete(api_keys).where(api_keys.c.id.in_(some))).rowcount
