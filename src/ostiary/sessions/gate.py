"""The one gate (D1), which says whether a user may act now by a credential: in a session, or with an API key.

Every path that issues, exchanges, refreshes or accepts a credential asks here at the moment of completion. New
blocking states (a lock, a missing factor, an organisation that is switched off) are added here and nowhere else.
"""

from datetime import datetime
from typing import NamedTuple

from ostiary.problems import InvalidCredentials
from ostiary.sessions.models import Held


class Standing(NamedTuple):
    """All that the gate looks at: how a credential and the user it belongs to stand at one moment."""

    user_id: int
    owner_id: int
    """Whom the credential belongs to."""
    is_active: bool
    revoked_at: datetime | None
    revoked_because: str | None
    expires_at: datetime

    @classmethod
    def of(cls, held: Held) -> "Standing":
        """Answer how a session and its user stand."""
        session, user_id, is_active, _ = held
        return cls(user_id, session.user_id, is_active, session.revoked_at, session.revoked_because, session.expires_at)


def admit(standing: Standing, *, user_id: int, now: datetime) -> None:
    """Let a credential's user act; `user_id` is who the credential says it is.

    Raises InvalidCredentials, whose reason is for the log alone.
    """
    if not standing.user_id == standing.owner_id == user_id:
        raise InvalidCredentials(reason="credential of another user")
    if not standing.is_active:
        raise InvalidCredentials(reason="user is deactivated")
    if standing.revoked_at is not None:
        raise InvalidCredentials(reason=f"credential was revoked: {standing.revoked_because}")
    if now >= standing.expires_at:
        raise InvalidCredentials(reason="credential is past its absolute lifetime")
