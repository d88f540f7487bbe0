"""Writing a row, in the transaction of the act that it speaks of: both are kept, or neither."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ostiary.audit.events import Event
from ostiary.audit.hot import RECORD
from ostiary.audit.origin import Kind, Origin
from ostiary.db.types import to_milliseconds

_TIME_DIGITS = 12
_RANDOM_BYTES = 10
_SALT_BYTES = 16

_encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True, allow_nan=False).encode


def record(
    connection: Connection,
    event: str,
    origin: Origin,
    *,
    user_id: int | None = None,
    details: Mapping[str, Any] | None = None,
    now: datetime,
) -> None:
    """Record an event, named in `Event`; `user_id` is whom it concerns.

    `details` become JSON as they are: ids, counts and words of ours, never a secret, an address or a name, since they
    stay when personal data goes. What is done with an API key names it there. Raises ValueError for an event that
    nobody has described.
    """
    moment = to_milliseconds(now)
    personal = _personal(origin)
    RECORD.run(
        connection,
        f"{first_id_at(now)}{secrets.token_hex(_RANDOM_BYTES)}",
        moment,
        Event(event).value,
        origin.actor_id,
        user_id,
        origin.kind.value,
        origin.request_id,
        _encode({**(details or {}), **({"api_key": origin.key_id} if origin.key_id else {})}),
        *personal,
    )


def first_id_at(moment: datetime) -> str:
    """Answer how the ids of rows of a moment begin: less than all of them, more than those of any moment before."""
    return f"{max(to_milliseconds(moment), 0):0{_TIME_DIGITS}x}"


def personal_digest(salt: bytes, address: str, user_agent: str) -> bytes:
    """Answer what stands for the personal fields of a row, and tells nothing about them without the salt."""
    return hashlib.sha256(salt + _encode([address, user_agent]).encode()).digest()


def _personal(origin: Origin) -> tuple[str | None, str | None, bytes | None, bytes]:
    if origin.kind is not Kind.REQUEST:
        return None, None, None, b""
    salt = secrets.token_bytes(_SALT_BYTES)
    return origin.address, origin.user_agent, salt, personal_digest(salt, origin.address, origin.user_agent)
