"""Login with e-mail and password: one answer, and equal work, for every way to fail (LG-1, LG-2)."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.context import App
from ostiary.credentials.models import password_of, set_password
from ostiary.crypto.passwords import StoredPassword, Verification
from ostiary.crypto.workers import Place
from ostiary.db import Database, read_committed
from ostiary.db.hot import Row
from ostiary.db.types import from_milliseconds
from ostiary.edge.source import Source
from ostiary.login.attempts import booked, verify
from ostiary.login.hot import CANDIDATE, CANDIDATE_BY_ID
from ostiary.login.places import (
    Approach,
    approach_to_nobody,
    approach_to_user,
    is_new_place,
    network_of,
    remember_place,
    tell_of_new_place,
)
from ostiary.login.throttle import Attempt, note_success
from ostiary.metrics.declared import LOGINS
from ostiary.problems import InvalidCredentials, Problem
from ostiary.sessions.beginning import begin_session
from ostiary.sessions.models import Held
from ostiary.sessions.tokens import TokenPair
from ostiary.users.address import canonical_email
from ostiary.users.models import User, from_stored

AMR = "pwd"
TIMER_SECONDS = 0.002
"""More than a timer may be early: uvloop's count whole milliseconds."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """The account that an address belongs to, if any, and what is stored to verify its password."""

    user: User | None
    password: StoredPassword | None
    known_since: datetime | None
    """When a sign-in from where he comes from was last written down."""
    is_proven: bool
    """Whether he has proven his address."""


class LoginFailed(InvalidCredentials):
    """A login was refused. The caller sees what every other refused login shows."""

    def __init__(self, why: str, user: User | None, *, reason: str) -> None:
        """Refuse; `why` is a word for the audit log, beside whom somebody tried to be."""
        super().__init__(reason=reason)
        self.why = why
        self.user_id = None if user is None else user.id


async def log_in(app: App, *, email: str, password: str, source: Source, origin: Origin) -> TokenPair:
    """Verify a password and begin a session.

    Raises InvalidCredentials, no sooner than the failure floor after it was called; Unavailable when full.
    """
    earliest_failure = app.clock.monotonic() + app.settings.login_failure_floor.total_seconds()
    try:
        # A place in the queue comes first: what finds none is refused before it costs the database anything, and
        # nobody's attempt is booked in vain because the queue has filled up meanwhile.
        with app.hasher.place() as place:
            held = await _verify_and_begin(app, email, password, place, source, origin)
    except LoginFailed as refusal:
        # Always one row, in a transaction of its own: whatever the reason, it takes as long (LG-2).
        app.metrics.count(LOGINS, refusal.why)
        await app.db.write(record_failure, refusal, origin, now=app.clock.now())
        log.info("login_failed", reason=refusal.reason, source=source.address)
        left = earliest_failure - app.clock.monotonic()
        await asyncio.sleep(left + TIMER_SECONDS if left > 0 else 0)
        raise
    session = held.session
    app.metrics.count(LOGINS, "success")
    log.info("login_succeeded", user_id=session.user_id, session_id=session.id, source=source.address, amr=AMR)
    return TokenPair(app.tokens.mint_access(held, now=app.clock.now()), app.tokens.mint_refresh(session))


async def _verify_and_begin(
    app: App, email: str, password: str, place: Place[Verification], source: Source, origin: Origin
) -> Held:
    # Worked out once and for every address: a domain in Unicode takes up to a millisecond, which must not show (LG-2).
    email_key = canonical_email(email)
    nobody = app.lookup_hash(email_key)
    candidate = await find_candidate(app.db, email_key, source)
    approach = _approach(candidate, nobody, source)
    async with booked(app, approach) as attempt:
        outcome = await verify(app, attempt, password, candidate.password, place=place)
        user = candidate.user
        if not attempt.is_allowed:
            raise LoginFailed("throttled", user, reason=f"{outcome.reason}: {approach.subject}")
        if user is None or not outcome.ok:
            why = "unknown_address" if user is None else "wrong_password"
            raise LoginFailed(why, user, reason=f"wrong password or unknown address: {approach.subject}")
        if not user.is_active:
            raise LoginFailed("deactivated", user, reason=f"user is deactivated: {approach.subject}")
        if app.demands.proven_address and not candidate.is_proven:
            raise LoginFailed("unverified", user, reason=f"address is not proven: {approach.subject}")
        try:
            held = await app.db.write(complete, app, user.id, attempt, origin, now=app.clock.now())
        except InvalidCredentials as refusal:
            raise LoginFailed("gone", user, reason=refusal.reason) from refusal
    if outcome.needs_rehash and candidate.password is not None:
        await _upgrade_hash(app, user.id, password, candidate.password)
    return held


async def find_candidate(db: Database, email_key: str, source: Source) -> Candidate:
    """Look an address up. The same statement runs whether anybody has it or not."""
    return _candidate((await db.look_up(CANDIDATE, [(email_key, network_of(source.key))]))[0])


async def find_candidate_by_id(db: Database, user_id: int, source: Source) -> Candidate:
    """Look a user up who is signed in, and is to prove his password once more."""
    return _candidate((await db.look_up(CANDIDATE_BY_ID, [(user_id, network_of(source.key))]))[0])


def _candidate(row: Row | None) -> Candidate:
    if row is None:
        return Candidate(None, None, None, is_proven=False)
    *user, password_hash, pepper_id, seen_at, proven_at = row
    return Candidate(
        from_stored(user),
        None if password_hash is None else StoredPassword(password_hash, pepper_id),
        None if seen_at is None else from_milliseconds(seen_at),
        proven_at is not None,
    )


def _approach(candidate: Candidate, nobody: str, source: Source) -> Approach:
    """Name whom somebody tries to be: all spellings of an address give the same."""
    if candidate.user is None:
        return approach_to_nobody(nobody, source)
    return approach_to_user(candidate.user.id, source, known_since=candidate.known_since)


@read_committed(why="it only adds a row")
def record_failure(connection: Connection, refusal: LoginFailed, origin: Origin, *, now: datetime) -> None:
    """Record that a login was refused."""
    details = {"reason": refusal.why}
    record(connection, Event.LOGIN_FAILED, origin, user_id=refusal.user_id, details=details, now=now)


@read_committed(why="the user's row is locked before the gate judges it; the throttle locks its own row after it")
def complete(
    connection: Connection, app: App, user_id: int, attempt: Attempt, origin: Origin, *, now: datetime
) -> Held:
    """Begin the session of a user whose password was right. Raises InvalidCredentials where the gate does."""
    held = begin_session(
        connection,
        user_id,
        tokens=app.tokens,
        lifetimes=app.lifetimes,
        demands=app.demands,
        amr=AMR,
        address=origin.address,
        user_agent=origin.user_agent,
        now=now,
    )
    note_success(connection, attempt)
    if is_new_place(connection, attempt.approach):
        tell_of_new_place(connection, user_id, sealer=app.sealer, origin=origin, now=now)
    remember_place(connection, attempt.approach, now=now)
    details = {"session": held.session.id, "amr": AMR}
    record(connection, Event.LOGIN_SUCCEEDED, origin.by(user_id), user_id=user_id, details=details, now=now)
    return held


async def _upgrade_hash(app: App, user_id: int, password: str, old: StoredPassword) -> None:
    """Hash again with today's parameters (PW-4). The login has succeeded and stays so, whatever happens here."""
    try:
        new = await app.hasher.hash(password)
        await app.db.write(replace_password, user_id, old, new, now=app.clock.now())
    except Problem as problem:
        log.warning("password_rehash_postponed", user_id=user_id, reason=problem.reason)
    except Exception as error:  # noqa: BLE001 - the session has begun; whatever failed, it is tried again next time
        log.error("password_rehash_failed", user_id=user_id, reason=type(error).__name__)  # noqa: TRY400 - text may tell
    else:
        log.info("password_rehashed", user_id=user_id)


def replace_password(
    connection: Connection, user_id: int, old: StoredPassword, new: StoredPassword, *, now: datetime
) -> None:
    """Store a new hash of the same password, unless the password was changed meanwhile."""
    if password_of(connection, user_id) == old:
        set_password(connection, user_id, new, now=now)
