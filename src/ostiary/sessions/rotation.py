"""What a presented refresh token deserves: a pure decision on what is stored, what came, and the time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from ostiary.audit.origin import Origin
from ostiary.crypto.opaque import same
from ostiary.sessions.models import Session

AUTHENTICATING_ADVANCES = 2
"""Generations that authenticating again advances a session by: the token before is never taken for a retry (TK-5)."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long sessions and their tokens live (TK-3), and how long a retry is taken for a retry (TK-5)."""

    access: timedelta
    refresh_idle: timedelta
    refresh_absolute: timedelta
    replay_window: timedelta


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token whose signature and claims hold; whether it is live is not known yet."""

    session_id: str
    user_id: int
    generation: int
    token_hash: bytes
    is_expired: bool
    """Past its own `exp`: worth nothing any more, and yet a sign of theft where it had been spent before."""
    origin: Origin


class Verdict(Enum):
    """The possible answers."""

    ROTATE = auto()
    """It is the live token: spend it and give a successor."""
    REPEAT = auto()
    """A client retries what it may not have heard the answer to: give the same successor again."""
    REUSED = auto()
    """A spent token came back: take the family for stolen and end it (RFC 9700 §4.14.2)."""
    DEAD = auto()
    """Expired, or never one of ours: refuse, nothing more."""


def judge(session: Session, presented: Presented, *, now: datetime, lifetimes: Lifetimes) -> Verdict:
    """Decide. The session has passed the gate; the settings of today also bind older sessions (TK-9)."""
    if presented.generation > session.generation:
        return Verdict.DEAD
    idle_until = min(session.refresh_expires_at, session.rotated_at + lifetimes.refresh_idle)
    if now >= min(idle_until, session.created_at + lifetimes.refresh_absolute):
        return Verdict.DEAD
    if presented.generation == session.generation:
        is_live = not presented.is_expired and same(presented.token_hash, session.refresh_hash)
        return Verdict.ROTATE if is_live else Verdict.DEAD
    # A clock that was stepped back must not open the window again for longer than it is wide (FL-5).
    is_soon = abs(now - session.rotated_at) < lifetimes.replay_window
    if is_soon and presented.generation == session.generation - 1:
        return Verdict.REPEAT
    if is_soon and _was_spent_by_authenticating(session, presented):
        return Verdict.DEAD
    return Verdict.REUSED


def _was_spent_by_authenticating(session: Session, presented: Presented) -> bool:
    """Tell whether what spent a token was not its presentation, but the user's authenticating again (TK-8).

    Another tab may be about to present it for the first time, so for a moment it is no sign of theft; but what it
    was worth is gone, for its holder has not authenticated. Authenticating skips a number (`beginning.py`).
    """
    is_last_event = session.rotated_at == session.authenticated_at > session.created_at
    return is_last_event and presented.generation == session.generation - AUTHENTICATING_ADVANCES
