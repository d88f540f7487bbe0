"""How a session begins, the one way out of every login; and how its user authenticates again in it."""

from datetime import datetime

from sqlalchemy import Connection, update

from ostiary.crypto.opaque import new_id, token_hash
from ostiary.db.types import to_milliseconds
from ostiary.problems import InvalidCredentials
from ostiary.sessions.gate import Demands, Standing, admit
from ostiary.sessions.hot import NEW_SESSION, ROLES_FOR_SESSION, ROOM_FOR_SESSION, USER_FOR_SESSION
from ostiary.sessions.models import Held, Session, granted_from_stored, sessions, to_stored
from ostiary.sessions.refresh import Rotation, admitted, lock_sessions, succeed
from ostiary.sessions.rotation import AUTHENTICATING_ADVANCES, Lifetimes
from ostiary.sessions.tokens import Tokens

MAX_SESSIONS_PER_USER = 100
"""The oldest ends when one more begins (TK-8)."""

_USER_AGENT_LENGTH = 256


def begin_session(
    connection: Connection,
    user_id: int,
    *,
    tokens: Tokens,
    lifetimes: Lifetimes,
    demands: Demands,
    amr: str,
    address: str,
    user_agent: str,
    now: datetime,
) -> Held:
    """Begin a session for a user who has just proven who he is, and answer it with what its first token says of him.

    The user's row is locked and read again, so that a deactivation either comes first and is seen here, or comes
    after and ends this session with the others. Raises InvalidCredentials where the gate does.
    """
    users = USER_FOR_SESSION.run(connection, user_id, to_milliseconds(now))
    session = Session(
        id=new_id(),
        user_id=user_id,
        created_at=now,
        authenticated_at=now,
        amr=amr,
        address=address,
        user_agent=user_agent[:_USER_AGENT_LENGTH],
        last_used_at=now,
        generation=0,
        refresh_hash=b"",
        rotated_at=now,
        refresh_expires_at=now + min(lifetimes.refresh_idle, lifetimes.refresh_absolute),
        expires_at=now + lifetimes.refresh_absolute,
    )
    if not users:
        raise InvalidCredentials(reason="no such user")
    [(found_id, is_active, proven_at, is_superuser)] = users
    roles = ",".join(role for (role,) in ROLES_FOR_SESSION.run(connection, user_id))
    held = Held(session, found_id, bool(is_active), proven_at is not None, granted_from_stored(is_superuser, roles))
    admit(Standing.of(held), user_id=user_id, demands=demands, now=now)
    session = session._replace(refresh_hash=token_hash(tokens.mint_refresh(session)))
    NEW_SESSION.run(connection, *to_stored(session))
    _make_room(connection, session, now)
    return held._replace(session=session)


def _make_room(connection: Connection, new: Session, now: datetime) -> None:
    """End the oldest of too many; never the new one, though the clock may have been stepped back."""
    ROOM_FOR_SESSION.run(
        connection, new.user_id, new.id, to_milliseconds(now), "too_many_sessions", MAX_SESSIONS_PER_USER - 1
    )


def renew_session(
    connection: Connection,
    session_id: str,
    user_id: int,
    *,
    tokens: Tokens,
    lifetimes: Lifetimes,
    demands: Demands,
    now: datetime,
) -> Rotation:
    """Note in a session that its user has just proven again who he is, and give it a new refresh token (TK-8).

    The session keeps its id and its absolute lifetime. The refresh token before is spent at once, also for the window
    in which one that was rotated could be presented again: whoever holds it has proven nothing. A rotation at the same
    time comes before, and its token is spent too, or after, and is refused. Raises InvalidCredentials where the gate
    does.
    """
    held = admitted(lock_sessions(connection, {session_id}).get(session_id), user_id, demands, now)
    skipped = held.session._replace(generation=held.session.generation + AUTHENTICATING_ADVANCES - 1)
    renewed, refresh_token = succeed(skipped, tokens, lifetimes, now)
    renewed = renewed._replace(authenticated_at=now)
    connection.execute(
        update(sessions)
        .where(sessions.c.id == session_id)
        .values(
            authenticated_at=renewed.authenticated_at,
            generation=renewed.generation,
            refresh_hash=renewed.refresh_hash,
            rotated_at=renewed.rotated_at,
            refresh_expires_at=renewed.refresh_expires_at,
            last_used_at=renewed.last_used_at,
        )
    )
    return Rotation(held._replace(session=renewed), refresh_token)
