"""Proof of the current password in a call of somebody who is signed in already (PW-7).

Whoever got hold of a session must not get to try passwords in it: an attempt counts like a login's, in the same
counters, booked first and verified second (D2). Too many tries and a wrong password have the same answer.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

import structlog
from sqlalchemy import Connection

from ostiary.context import App
from ostiary.credentials.models import lock_password, password_of
from ostiary.crypto.passwords import StoredPassword
from ostiary.edge.source import Source
from ostiary.login.throttle import Pair, book_attempt, forget_attempts, subject_of, withdraw_attempt
from ostiary.problems import Forbidden, InvalidCredentials, Problem, Unavailable
from ostiary.users.models import lock_user
from ostiary.web.caller import Caller

T = TypeVar("T")

log = structlog.get_logger(__name__)


class InvalidPassword(Forbidden):
    """The current password is wrong, or too many were tried. Never 401, which makes clients sign out."""

    detail = "The current password is wrong"
    code = "invalid_password"


class Proof(NamedTuple):
    """A password was found to be its user's. What rests on that calls `settle` in its own transaction."""

    user_id: int
    pair: Pair
    stored: StoredPassword


class Superseded(Problem):
    """The stored password is another one by now; nothing of what rested on the proof is kept."""


async def prove_password(
    app: App, caller: Caller, presented: str, *, source: Source, act: Callable[[Proof], Awaitable[T]]
) -> T:
    """Verify the caller's password, and then let `act` do what rests on it, in a transaction that settles the proof.

    Raises InvalidPassword, also for a caller who has no password; Unavailable when full; and what `act` raises.
    """
    pair = Pair(subject_of(caller.user_id), source.key)

    async def book() -> bool:
        return await app.db.write(book_attempt, pair, now=app.clock.now())

    async with app.attempts.book(pair, book) as is_allowed:
        try:
            while True:
                stored = await app.db.read(password_of, caller.user_id)
                verification = await app.hasher.verify(presented, stored)
                if not is_allowed or not verification.ok or stored is None:
                    reason = verification.reason if is_allowed else "throttled"
                    log.info("password_proof_failed", user_id=caller.user_id, reason=reason, source=source.address)
                    raise InvalidPassword(reason=reason)
                try:
                    return await act(Proof(caller.user_id, pair, stored))
                except Superseded:  # a login may have hashed the same password anew: what is stored now decides
                    continue
        except Unavailable:
            # As at login: what could not be done for want of room is no guess.
            if is_allowed:
                await app.db.write(withdraw_attempt, pair)
            raise


def settle(connection: Connection, proof: Proof) -> None:
    """Clear the attempts, and see to it that the proven password is still the user's until the transaction ends.

    Raises Superseded, InvalidCredentials.
    """
    forget_attempts(connection, proof.pair)
    if not lock_user(connection, proof.user_id):
        raise InvalidCredentials(reason="the caller's account ended meanwhile")
    found = lock_password(connection, proof.user_id)
    if found != proof.stored:
        raise Superseded(reason="the password was replaced meanwhile")
