"""The one gate (D1), which says whether a user may act now by a credential: a session, an API key, a mailed token.

Every path that issues, exchanges, refreshes or accepts a credential asks here at the moment of completion. New
blocking states (a lock, a missing factor, an organisation that is switched off) are added here and nowhere else.
"""

from datetime import datetime
from typing import NamedTuple

from ostiary.problems import InvalidCredentials
from ostiary.sessions.models import Held


class Demands(NamedTuple):
    """What this installation asks of every user before he may act: its settings, as the gate reads them."""

    proven_address: bool
    """Whether he must have proven his address (`require_verified_email`)."""


class Standing(NamedTuple):
    """All that the gate looks at: how a credential and the user it belongs to stand at one moment."""

    user_id: int
    owner_id: int
    """Whom the credential belongs to."""
    is_active: bool
    is_proven: bool
    """Whether the user has proven his address."""
    revoked_at: datetime | None
    revoked_because: str | None
    expires_at: datetime

    @classmethod
    def of(cls, held: Held) -> "Standing":
        """Answer how a session and its user stand."""
        session, user_id, is_active, is_proven, _ = held
        return cls(
            user_id,
            session.user_id,
            is_active,
            is_proven,
            session.revoked_at,
            session.revoked_because,
            session.expires_at,
        )


def admit(standing: Standing, *, user_id: int, demands: Demands, now: datetime) -> None:
    """Let a credential's user act; `user_id` is who the credential says it is.

    Raises InvalidCredentials, whose reason is for the log alone.
    """
    if not standing.user_id == standing.owner_id == user_id:
        raise InvalidCredentials(reason="credential of another user")
    admit_user(is_active=standing.is_active)
    if demands.proven_address and not standing.is_proven:
        raise InvalidCredentials(reason="address is not proven")
    if standing.revoked_at is not None:
        raise InvalidCredentials(reason=f"credential was revoked: {standing.revoked_because}")
    if now >= standing.expires_at:
        raise InvalidCredentials(reason="credential is past its absolute lifetime")


def admit_user(*, is_active: bool) -> None:
    """Let a user act who proves who he is by a token from a mail, and so his address as well.

    Raises InvalidCredentials, whose reason is for the log alone.
    """
    if not is_active:
        raise InvalidCredentials(reason="user is deactivated")
