"""The one gate (D1), which says whether a user may act now in a session.

Every path that issues, exchanges, refreshes or accepts a credential asks here at the moment of completion. New
blocking states (a lock, a missing factor, an organisation that is switched off) are added here and nowhere else.
"""

from datetime import datetime

from ostiary.problems import InvalidCredentials
from ostiary.sessions.models import Held


def admit(held: Held | None, *, user_id: int, now: datetime) -> Held:
    """Answer the session and user that may act; `user_id` is who the credential says it is.

    Raises InvalidCredentials, whose reason is for the log alone.
    """
    if held is None:
        raise InvalidCredentials(reason="no such session or user")
    session, user = held
    if not user.id == session.user_id == user_id:
        raise InvalidCredentials(reason="session of another user")
    if not user.is_active:
        raise InvalidCredentials(reason="user is deactivated")
    if session.revoked_at is not None:
        raise InvalidCredentials(reason=f"session was revoked: {session.revoked_because}")
    if now >= session.expires_at:
        raise InvalidCredentials(reason="session is past its absolute lifetime")
    return held
