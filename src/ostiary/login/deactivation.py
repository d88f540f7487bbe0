"""Keeping a user out: everything by which he could act ends, whatever kind it is of (TK-7)."""

from datetime import datetime

from sqlalchemy import Connection

from ostiary.api_keys.ending import end_keys
from ostiary.audit.origin import Origin
from ostiary.credentials.one_time import void_tokens_of
from ostiary.crypto.sealed import Sealer
from ostiary.mail.messages import AccountDeactivated
from ostiary.mail.outbox import tell
from ostiary.sessions.ending import end_all_sessions
from ostiary.users.accounts import set_active
from ostiary.users.acting import administrator_of
from ostiary.users.models import User, user_by_id


def deactivate_user(connection: Connection, user_id: int, *, origin: Origin, now: datetime) -> User:
    """Deactivate a user and end everything he holds: it stays ended when he is activated again.

    Raises NotFound, LastSuperuser.
    """
    user = set_active(connection, user_id, is_active=False, origin=origin, now=now)
    end_all_sessions(connection, user_id, because="user_deactivated", now=now)
    end_keys(connection, user_id)
    void_tokens_of(connection, user_id)
    return user


def keep_out(connection: Connection, user_id: int, *, sealer: Sealer, origin: Origin, now: datetime) -> User:
    """Deactivate a user, and tell him if he was active. Raises NotFound, LastSuperuser."""
    before = user_by_id(connection, user_id)
    user = deactivate_user(connection, user_id, origin=origin, now=now)
    if before is not None and before.is_active:
        tell_of_deactivation(connection, user, sealer=sealer, origin=origin, now=now)
    return user


def tell_of_deactivation(connection: Connection, user: User, *, sealer: Sealer, origin: Origin, now: datetime) -> None:
    """Tell a user that nobody can sign in to his account any more."""
    by = administrator_of(connection, user.id, origin)
    notice = AccountDeactivated(username=user.username, at=now, by=by)
    tell(connection, user, notice, sealer=sealer, now=now)
