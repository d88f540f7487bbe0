"""Recognising callers: every authenticated request reads its session and user, in batches (TK-6)."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, update

from ostiary.db import Database
from ostiary.db.hot import Row
from ostiary.db.types import from_milliseconds
from ostiary.problems import InvalidCredentials
from ostiary.sessions.gate import Demands, Standing, admit
from ostiary.sessions.hot import CALLER
from ostiary.sessions.models import sessions
from ostiary.sessions.tokens import AccessClaims
from ostiary.web.caller import Caller

USE_RESOLUTION = timedelta(minutes=1)
"""`last_used_at` is kept to the minute (TK-8)."""

_NONE: frozenset[str] = frozenset()


async def identify(
    db: Database, batch: list[AccessClaims], *, demands: Demands, now: datetime, last_uses: "LastUses"
) -> list[Caller | Exception]:
    """Answer who presents each of these access tokens, from one snapshot; a refusal for whoever may not act."""
    rows = await db.look_up(CALLER, [(claims.session_id,) for claims in batch])
    answers: list[Caller | Exception] = []
    for claims, row in zip(batch, rows, strict=True):
        try:
            answers.append(_recognise(claims, row, demands, now, last_uses))
        except InvalidCredentials as refusal:
            answers.append(refusal)
    return answers


def _recognise(claims: AccessClaims, row: Row | None, demands: Demands, now: datetime, last_uses: "LastUses") -> Caller:
    """Answer who presents a token, given what CALLER found. Raises InvalidCredentials."""
    if row is None:
        raise InvalidCredentials(reason="no such session or user")
    (
        user_id,
        owner_id,
        is_active,
        is_superuser,
        revoked_at,
        revoked_because,
        expires_at,
        last_used_at,
        authenticated_at,
        proven_at,
        permissions,
    ) = row
    ended = None if revoked_at is None else from_milliseconds(revoked_at)
    standing = Standing(
        user_id, owner_id, bool(is_active), proven_at is not None, ended, revoked_because, from_milliseconds(expires_at)
    )
    admit(standing, user_id=claims.user_id, demands=demands, now=now)
    last_uses.note(claims.session_id, from_milliseconds(last_used_at), now)
    return Caller(
        user_id=user_id,
        session_id=claims.session_id,
        is_superuser=bool(is_superuser),
        permissions=_NONE if permissions is None else frozenset(permissions.split()),
        authenticated_at=from_milliseconds(authenticated_at),
    )


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
