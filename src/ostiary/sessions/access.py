"""Recognising callers: every authenticated request reads its session and user, in batches (TK-6)."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, update

from ostiary.problems import InvalidCredentials
from ostiary.sessions.gate import admit
from ostiary.sessions.models import held_by_id, sessions
from ostiary.sessions.tokens import AccessClaims
from ostiary.web.caller import Caller

USE_RESOLUTION = timedelta(minutes=1)
"""`last_used_at` is kept to the minute (TK-8)."""


def identify(
    connection: Connection, batch: list[AccessClaims], *, now: datetime, last_uses: "LastUses"
) -> list[Caller | Exception]:
    """Answer who presents each of these access tokens, in one statement; a refusal for whoever may not act."""
    held = held_by_id(connection, {claims.session_id for claims in batch})
    answers: list[Caller | Exception] = []
    for claims in batch:
        try:
            session, user = admit(held.get(claims.session_id), user_id=claims.user_id, now=now)
        except InvalidCredentials as refusal:
            answers.append(refusal)
        else:
            last_uses.note(session.id, session.last_used_at, now)
            answers.append(Caller(user_id=user.id, session_id=session.id, is_superuser=user.is_superuser))
    return answers


class LastUses:
    """Uses of sessions that are still to be written down; written together, now and then."""

    def __init__(self) -> None:
        self._pending: dict[str, datetime] = {}

    def note(self, session_id: str, last_used_at: datetime, now: datetime) -> None:
        """Remember a use, where the stored one is too old by now."""
        if now - last_used_at >= USE_RESOLUTION:
            self._pending[session_id] = now

    def take(self) -> dict[str, datetime]:
        """Answer what is to be written, and forget it: a use that is lost is noted again at the next one."""
        pending, self._pending = self._pending, {}
        return pending


def write_last_uses(connection: Connection, uses: dict[str, datetime]) -> None:
    """Write down when sessions were last used."""
    statement = (
        update(sessions)
        .where(sessions.c.id == bindparam("session_id"), sessions.c.last_used_at < bindparam("used_at"))
        .values(last_used_at=bindparam("used_at"))
    )
    connection.execute(statement, [{"session_id": key, "used_at": uses[key]} for key in sorted(uses)])
