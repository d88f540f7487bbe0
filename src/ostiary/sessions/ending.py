"""How sessions end before their time. Answered only once it is durable (TK-7), and effective at once (TK-6)."""

from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from ostiary.sessions.models import sessions
from ostiary.users.accounts import set_active
from ostiary.users.models import User


def end_session(connection: Connection, session_id: str, *, because: str, now: datetime) -> None:
    """End one session with its whole family of refresh tokens."""
    live = (sessions.c.id == session_id) & sessions.c.revoked_at.is_(None)
    connection.execute(update(sessions).where(live).values(revoked_at=now, revoked_because=because))


def end_all_sessions(connection: Connection, user_id: int, *, because: str, now: datetime) -> int:
    """End every session of a user; answer how many there were."""
    live = (sessions.c.user_id == user_id) & sessions.c.revoked_at.is_(None)
    return connection.execute(update(sessions).where(live).values(revoked_at=now, revoked_because=because)).rowcount


def deactivate_user(connection: Connection, user_id: int, *, now: datetime) -> User:
    """Deactivate a user and end everything he holds. Raises NotFound, LastSuperuser."""
    user = set_active(connection, user_id, is_active=False, now=now)
    end_all_sessions(connection, user_id, because="user_deactivated", now=now)
    return user


def purge_sessions(connection: Connection, *, before: datetime, limit: int) -> int:
    """Remove some sessions whose absolute lifetime ended before a moment; answer how many."""
    some = select(sessions.c.id).where(sessions.c.expires_at < before).limit(limit)
    return connection.execute(delete(sessions).where(sessions.c.id.in_(some))).rowcount
