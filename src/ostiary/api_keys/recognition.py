"""Recognising callers by API keys: each request reads its key and the owner with his rights, in batches (TK-6)."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, or_, update

from ostiary.api_keys.format import PresentedKey
from ostiary.api_keys.hot import KEY_CALLER
from ostiary.api_keys.models import api_keys
from ostiary.crypto.opaque import same
from ostiary.db import Database
from ostiary.db.hot import Row
from ostiary.db.types import from_milliseconds
from ostiary.problems import InvalidCredentials
from ostiary.sessions.access import LastUses
from ostiary.sessions.gate import Demands, Standing, admit
from ostiary.web.caller import Caller
from ostiary.web.permissions import Rights


async def identify_by_key(
    db: Database, batch: list[PresentedKey], *, demands: Demands, now: datetime, last_uses: LastUses
) -> list[Caller | Exception]:
    """Answer who presents each of these keys, from one snapshot; a refusal for whoever may not act."""
    rows = await db.look_up(KEY_CALLER, [(presented.id,) for presented in batch])
    answers: list[Caller | Exception] = []
    for presented, row in zip(batch, rows, strict=True):
        try:
            answers.append(_recognise(presented, row, demands, now, last_uses))
        except InvalidCredentials as refusal:
            answers.append(refusal)
    return answers


def _recognise(
    presented: PresentedKey, row: Row | None, demands: Demands, now: datetime, last_uses: LastUses
) -> Caller:
    """Answer who presents a key, given what KEY_CALLER found. Raises InvalidCredentials."""
    if row is None:
        raise InvalidCredentials(reason="API key: no such key or owner")
    user_id, owner_id, is_active, is_superuser, key_hash, scopes, expires_at, last_used_at, proven_at, may = row
    if not same(presented.key_hash, key_hash):
        raise InvalidCredentials(reason="API key: wrong secret")
    standing = Standing(
        user_id, owner_id, bool(is_active), proven_at is not None, None, None, from_milliseconds(expires_at)
    )
    admit(standing, user_id=owner_id, demands=demands, now=now)
    last_uses.note(presented.id, from_milliseconds(last_used_at or 0), now)
    held = Rights.of(is_superuser=bool(is_superuser), granted=(may or "").split()).permissions
    return Caller(
        user_id=user_id,
        session_id="",
        key_id=presented.id,
        is_superuser=False,  # what only superusers may do has no name that a scope could be
        permissions=held.intersection(scopes.split()),
    )


def write_key_uses(connection: Connection, uses: dict[str, datetime]) -> None:
    """Write down when keys were last used."""
    last = api_keys.c.last_used_at
    statement = (
        update(api_keys)
        .where(api_keys.c.id == bindparam("key_id"), or_(last.is_(None), last < bindparam("used_at")))
        .values(last_used_at=bindparam("used_at"))
    )
    connection.execute(statement, [{"key_id": key, "used_at": uses[key]} for key in sorted(uses)])
