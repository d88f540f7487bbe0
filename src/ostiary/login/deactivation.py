"""Keeping a user out: everything by which he could act ends, whatever kind it is of (TK-7)."""

from datetime import datetime

from sqlalchemy import Connection

from ostiary.api_keys.ending import end_keys
from ostiary.audit.origin import Origin
from ostiary.credentials.one_time import void_tokens_of
from ostiary.sessions.ending import end_all_sessions
from ostiary.users.accounts import set_active
from ostiary.users.models import User


def deactivate_user(connection: Connection, user_id: int, *, origin: Origin, now: datetime) -> User:
    """Deactivate a user and end everything he holds: it stays ended when he is activated again.

    Raises NotFound, LastSuperuser.
    """
    user = set_active(connection, user_id, is_active=False, origin=origin, now=now)
    end_all_sessions(connection, user_id, because="user_deactivated", now=now)
    end_keys(connection, user_id)
    void_tokens_of(connection, user_id)
    return user
