"""Presenting a mailed token: whose it is, and whether he may still use it (SU-4, D1, D2)."""

from datetime import datetime

from sqlalchemy import Connection

from ostiary.credentials.mailed import MailedToken, subject_for
from ostiary.credentials.one_time import TokenInvalid, consume, subject_of
from ostiary.problems import InvalidCredentials
from ostiary.sessions.gate import admit_user
from ostiary.users.models import User, lock_user, user_by_id


def holder_of(connection: Connection, kind: MailedToken, presented: str, *, now: datetime) -> User:
    """Answer whose token this is while it could be used. Only a hint, to save work: `redeem` decides.

    Raises TokenInvalid.
    """
    owner, address, *_ = subject_of(connection, kind.purpose, presented, now=now).split(":")
    return _admitted(user_by_id(connection, int(owner)), f"{owner}:{address}")


def redeem(connection: Connection, kind: MailedToken, presented: str, *more: str, now: datetime) -> User:
    """Use a token up and answer its user, whose row is locked from here on.

    `more` are further addresses that it must speak of. The user is locked before the token, as everywhere: else two
    who present and replace a token at once could wait for each other. Raises TokenInvalid; then nothing is used up.
    """
    owner = subject_of(connection, kind.purpose, presented, now=now).partition(":")[0]
    user = lock_user(connection, int(owner))
    return _admitted(user, consume(connection, kind.purpose, presented, now=now), *more)


def _admitted(user: User | None, subject: str, *more: str) -> User:
    """Answer the user that a token's subject names, if he is still the same and may act. Raises TokenInvalid."""
    if user is None:
        raise TokenInvalid(reason="its user is gone")
    if subject != subject_for(user.id, user.email, *more):
        raise TokenInvalid(reason="bound to another address")
    try:
        admit_user(is_active=user.is_active)
    except InvalidCredentials as refusal:
        raise TokenInvalid(reason=refusal.reason) from None
    return user
