"""Which sessions of a user go on, and how they end before their time.

An end is answered only once it is durable (TK-7), and effective at once (TK-6).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, update

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.problems import NotFound
from ostiary.sessions.models import sessions
from ostiary.sessions.rotation import Lifetimes

LOGGED_OUT = "logged_out"
RESTORED = "restored"
PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a reason, not a secret


class LiveSession(NamedTuple):
    """A session that goes on, as its user is shown it."""

    id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    """When it ends unless it is refreshed before."""
    address: str
    """Empty where it is forgotten by now (LA-4)."""
    user_agent: str
    amr: str


def live_sessions(
    connection: Connection, user_id: int, *, lifetimes: Lifetimes, skip: int, limit: int, now: datetime
) -> tuple[list[LiveSession], int]:
    """Answer some of a user's sessions that go on, the newest first, and how many there are (TK-8).

    Today's settings bind older sessions too, as at their next refresh (TK-9).
    """
    s = sessions.c
    live = and_(
        _live(s.user_id == user_id),
        s.expires_at > now,
        s.refresh_expires_at > now,
        s.rotated_at > now - lifetimes.refresh_idle,
        s.created_at > now - lifetimes.refresh_absolute,
    )
    columns = (s.id, s.created_at, s.last_used_at, s.refresh_expires_at, s.address, s.user_agent, s.amr)
    page = select(*columns).where(live).order_by(s.created_at.desc(), s.id).limit(limit).offset(skip)
    total = connection.execute(select(func.count()).select_from(sessions).where(live)).scalar_one()
    return [LiveSession(*row) for row in connection.execute(page)], total


class StoredSession(NamedTuple):
    """A session as it is kept, also one that has ended; without its secrets."""

    id: str
    created_at: datetime
    authenticated_at: datetime
    last_used_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_because: str | None
    address: str
    user_agent: str
    amr: str


def stored_sessions(connection: Connection, user_id: int, *, limit: int) -> list[StoredSession]:
    """Answer all sessions of a user that are kept, the newest first, so many at most."""
    columns = [sessions.c[name] for name in StoredSession._fields]
    newest = select(*columns).where(sessions.c.user_id == user_id).order_by(sessions.c.created_at.desc()).limit(limit)
    return [StoredSession(*row) for row in connection.execute(newest)]


def end_own_session(connection: Connection, user_id: int, session_id: str, *, origin: Origin, now: datetime) -> None:
    """End one of a user's sessions that goes on. Raises NotFound, also for somebody else's."""
    ending = update(sessions).where(_live((sessions.c.id == session_id) & (sessions.c.user_id == user_id)))
    ending = ending.where(sessions.c.expires_at > now).values(revoked_at=now, revoked_because=LOGGED_OUT)
    if not connection.execute(ending).rowcount:
        raise NotFound
    record(connection, Event.LOGGED_OUT, origin, user_id=user_id, details={"session": session_id}, now=now)


def end_other_sessions(connection: Connection, user_id: int, kept_id: str, *, because: str, now: datetime) -> int:
    """End every session of a user but one; answer how many there were. The act is the caller's."""
    others = _live((sessions.c.user_id == user_id) & (sessions.c.id != kept_id))
    return connection.execute(update(sessions).where(others).values(revoked_at=now, revoked_because=because)).rowcount


def end_all_sessions_of_all(connection: Connection, *, because: str, now: datetime) -> int:
    """End every session that there is; answer how many there were. The act is the caller's."""
    live = sessions.c.revoked_at.is_(None)
    return connection.execute(update(sessions).where(live).values(revoked_at=now, revoked_because=because)).rowcount


def with_old_addresses(connection: Connection, *, begun_before: datetime, limit: int) -> list[str]:
    """Answer some sessions that began before a moment and still say where: found by reading all of them."""
    old = select(sessions.c.id).where(sessions.c.created_at < begun_before, sessions.c.address != "").limit(limit)
    return list(connection.execute(old).scalars())


def forget_addresses(connection: Connection, ids: Sequence[str]) -> None:
    """Forget where some sessions came from (LA-4)."""
    connection.execute(update(sessions).where(sessions.c.id.in_(ids)).values(address=""))


def _live(which: ColumnElement[bool]) -> ColumnElement[bool]:
    return which & sessions.c.revoked_at.is_(None)


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
