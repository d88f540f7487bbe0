"""How sessions end before their time. Answered only once it is durable (TK-7), and effective at once (TK-6)."""

from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.sessions.models import sessions

LOGGED_OUT = "logged_out"


def log_out(connection: Connection, user_id: int, session_id: str, *, origin: Origin, now: datetime) -> None:
    """End the session that a user is in."""
    if end_session(connection, session_id, because=LOGGED_OUT, now=now):
        record(connection, Event.LOGGED_OUT, origin, user_id=user_id, details={"session": session_id}, now=now)


def log_out_everywhere(connection: Connection, user_id: int, *, origin: Origin, now: datetime) -> int:
    """End all sessions of a user; answer how many there were."""
    ended = end_all_sessions(connection, user_id, because=LOGGED_OUT, now=now)
    record(connection, Event.LOGGED_OUT_EVERYWHERE, origin, user_id=user_id, details={"sessions": ended}, now=now)
    return ended


def end_session(connection: Connection, session_id: str, *, because: str, now: datetime) -> bool:
    """End one session with its whole family of refresh tokens; answer whether it was alive. The act is the caller's."""
    live = (sessions.c.id == session_id) & sessions.c.revoked_at.is_(None)
    ending = update(sessions).where(live).values(revoked_at=now, revoked_because=because)
    return connection.execute(ending).rowcount == 1


def end_all_sessions(connection: Connection, user_id: int, *, because: str, now: datetime) -> int:
    """End every session of a user; answer how many there were. The act is the caller's, to be recorded there."""
    live = (sessions.c.user_id == user_id) & sessions.c.revoked_at.is_(None)
    return connection.execute(update(sessions).where(live).values(revoked_at=now, revoked_because=because)).rowcount


def purge_sessions(connection: Connection, *, before: datetime, limit: int) -> int:
    """Remove some sessions whose absolute lifetime ended before a moment; answer how many."""
    some = select(sessions.c.id).where(sessions.c.expires_at < before).limit(limit)
    return connection.execute(delete(sessions).where(sessions.c.id.in_(some))).rowcount
