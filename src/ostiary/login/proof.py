"""Proof of the current password in a call of somebody who is signed in already (PW-7).

Whoever got hold of a session must not get to try passwords in it: an attempt counts like a login's, in the same
counters, booked first and verified second (D2). Too many tries and a wrong password have the same answer.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple, TypeVar

import structlog
from sqlalchemy import Connection

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.context import App
from ostiary.credentials.models import lock_password
from ostiary.crypto.passwords import StoredPassword
from ostiary.db import read_committed
from ostiary.edge.source import Source
from ostiary.login.attempts import booked, verify
from ostiary.login.password import find_candidate_by_id
from ostiary.login.places import approach_in_session
from ostiary.login.throttle import Attempt, note_success
from ostiary.problems import Forbidden, InvalidCredentials, Problem
from ostiary.users.models import lock_user
from ostiary.web.caller import Caller

T = TypeVar("T")

log = structlog.get_logger(__name__)


class InvalidPassword(Forbidden):
    """The current password is wrong, or too many were tried. Never 401, which makes clients sign out."""

    detail = "The current password is wrong"
    code = "invalid_password"
    is_recorded = True


class Proof(NamedTuple):
    """A password was found to be its user's. What rests on that calls `settle` in its own transaction."""

    user_id: int
    attempt: Attempt
    stored: StoredPassword


class Superseded(Problem):
    """The stored password is another one by now; nothing of what rested on the proof is kept."""


async def prove_password(
    app: App, caller: Caller, presented: str, *, source: Source, origin: Origin, act: Callable[[Proof], Awaitable[T]]
) -> T:
    """Verify the caller's password, and then let `act` do what rests on it, in a transaction that settles the proof.

    Raises InvalidPassword, also for a caller who has no password; Unavailable when full; and what `act` raises.
    """
    now = app.clock.now()
    candidate = await find_candidate_by_id(app.db, caller.user_id, source)
    approach = approach_in_session(
        caller.user_id, caller.session_id, source, known_since=candidate.known_since, now=now
    )
    async with booked(app, approach) as attempt:
        while True:
            outcome = await verify(app, attempt, presented, candidate.password)
            if not outcome.ok or candidate.password is None:
                log.info("password_proof_failed", user_id=caller.user_id, reason=outcome.reason, source=source.address)
                why = "wrong_password" if attempt.is_allowed else "throttled"
                await app.db.write(record_refusal, caller.user_id, why, origin, now=now)
                raise InvalidPassword(reason=outcome.reason)
            try:
                return await act(Proof(caller.user_id, attempt, candidate.password))
            except Superseded:  # a login may have hashed the same password anew: what is stored now decides
                candidate = await find_candidate_by_id(app.db, caller.user_id, source)


@read_committed(why="it only adds a row")
def record_refusal(connection: Connection, user_id: int, why: str, origin: Origin, *, now: datetime) -> None:
    """Record that a signed-in user could not prove his password."""
    record(connection, Event.PASSWORD_REFUSED, origin, user_id=user_id, details={"reason": why}, now=now)


def settle(connection: Connection, proof: Proof) -> None:
    """Clear the attempts, and see to it that the proven password is still the user's until the transaction ends.

    Raises Superseded, InvalidCredentials.
    """
    if lock_user(connection, proof.user_id) is None:
        raise InvalidCredentials(reason="the caller's account ended meanwhile")
    found = lock_password(connection, proof.user_id)
    if found != proof.stored:
        raise Superseded(reason="the password was replaced meanwhile")
    note_success(connection, proof.attempt)
