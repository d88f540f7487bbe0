"""Secrets that are good for one use: made, handed out once, and used up by exactly one caller (D2).

States of a token: live → used, or live → expired. Only its hash is stored.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from ostiary.credentials.models import one_time_tokens
from ostiary.crypto.opaque import new_token, token_hash
from ostiary.problems import InvalidInput


class TokenInvalid(InvalidInput):
    """The one-time token is unknown, spent, expired or for another purpose; which of them is not said."""

    detail = "This token is not valid (any more)"
    code = "token_invalid"


def issue(
    connection: Connection,
    purpose: str,
    subject: str,
    *,
    lifetime: timedelta,
    now: datetime,
    bits: int = 256,
    user_id: int | None = None,
) -> str:
    """Make a token for one purpose and subject and answer it in plain, the only time that it can be seen.

    `user_id` is the user whose token it is, if it is anybody's: it goes when he goes.
    """
    token = new_token(bits)
    connection.execute(
        insert(one_time_tokens).values(
            token_hash=token_hash(token),
            purpose=purpose,
            subject=subject,
            created_at=now,
            expires_at=now + lifetime,
            user_id=user_id,
        )
    )
    return token


def is_live(connection: Connection, purpose: str, presented: str, *, now: datetime) -> bool:
    """Say whether a token could be used now. Only a hint, to save work: `consume` decides."""
    return (
        connection.execute(select(one_time_tokens.c.purpose).where(_live(purpose, presented, now))).first() is not None
    )


def subject_of(connection: Connection, purpose: str, presented: str, *, now: datetime) -> str:
    """Answer the subject of a token that could be used now. Only a hint, as `is_live` is. Raises TokenInvalid."""
    subject = connection.execute(select(one_time_tokens.c.subject).where(_live(purpose, presented, now))).scalar()
    if subject is None:
        raise TokenInvalid
    return str(subject)


def consume(connection: Connection, purpose: str, presented: str, *, now: datetime) -> str:
    """Use a token up and answer its subject: one conditional write that succeeds for exactly one caller.

    Raises TokenInvalid.
    """
    t = one_time_tokens.c
    subject = connection.execute(
        update(one_time_tokens).where(_live(purpose, presented, now)).values(used_at=now).returning(t.subject)
    ).scalar()
    if subject is None:
        raise TokenInvalid
    return str(subject)


def _live(purpose: str, presented: str, now: datetime) -> ColumnElement[bool]:
    t = one_time_tokens.c
    return and_(t.token_hash == token_hash(presented), t.purpose == purpose, t.used_at.is_(None), t.expires_at > now)


def void(connection: Connection, purpose: str, subject: str) -> None:
    """Make every token of a purpose and subject worthless."""
    t = one_time_tokens.c
    connection.execute(delete(one_time_tokens).where(t.purpose == purpose, t.subject == subject))


def void_tokens_of(connection: Connection, user_id: int, *, purpose: str | None = None) -> None:
    """Make every token of a user worthless, or all for one purpose (SU-4, TK-7)."""
    t = one_time_tokens.c
    his = t.user_id == user_id
    connection.execute(delete(one_time_tokens).where(his if purpose is None else his & (t.purpose == purpose)))


def purge_tokens(connection: Connection, *, before: datetime, limit: int) -> int:
    """Remove some tokens that expired before a moment; answer how many."""
    t = one_time_tokens.c
    some = select(t.token_hash).where(t.expires_at < before).limit(limit)
    return connection.execute(delete(one_time_tokens).where(t.token_hash.in_(some))).rowcount
