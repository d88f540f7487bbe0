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
from ostiary.edge.source import Source
from ostiary.login.hot import CANDIDATE
from ostiary.login.throttle import Pair, book_attempt, forget_attempts, subject_of, withdraw_attempt
from ostiary.problems import InvalidCredentials, Problem, Unavailable
from ostiary.sessions.beginning import begin_session
from ostiary.sessions.models import Session
from ostiary.sessions.tokens import TokenPair
from ostiary.users.address import canonical_email
from ostiary.users.models import User, from_stored

AMR = "pwd"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """The account that an address belongs to, if any, and what is stored to verify its password."""

    user: User | None
    password: StoredPassword | None


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
            session = await _verify_and_begin(app, email, password, place, source, origin)
    except LoginFailed as refusal:
        # Always one row, in a transaction of its own: whatever the reason, it takes as long (LG-2).
        await app.db.write(record_failure, refusal, origin, now=app.clock.now())
        log.info("login_failed", reason=refusal.reason, source=source.address)
        await asyncio.sleep(max(0.0, earliest_failure - app.clock.monotonic()))
        raise
    log.info("login_succeeded", user_id=session.user_id, session_id=session.id, source=source.address, amr=AMR)
    return TokenPair(app.tokens.mint_access(session, now=app.clock.now()), app.tokens.mint_refresh(session))


async def _verify_and_begin(
    app: App, email: str, password: str, place: Place[Verification], source: Source, origin: Origin
) -> Session:
    # Worked out once and for every address: a domain in Unicode takes up to a millisecond, which must not show (LG-2).
    email_key = canonical_email(email)
    nobody = app.lookup_hash(email_key)
    candidate = await find_candidate(app.db, email_key)
    pair = Pair(_subject(candidate, nobody), source.key)

    async def book() -> bool:
        return await app.db.write(book_attempt, pair, now=app.clock.now())

    async with app.attempts.book(pair, book) as allowed:
        try:
            verification = await app.hasher.verify(password, candidate.password, place=place)
        except Unavailable:
            # Nothing was verified, so nobody has guessed: a server under load must not block its users afterwards.
            if allowed:
                await app.db.write(withdraw_attempt, pair)
            raise
        user = candidate.user
        if not allowed:
            raise LoginFailed("throttled", user, reason=f"throttled: {pair.subject}")
        if user is None or not verification.ok:
            why = "unknown_address" if user is None else "wrong_password"
            raise LoginFailed(why, user, reason=f"wrong password or unknown address: {pair.subject}")
        if not user.is_active:
            raise LoginFailed("deactivated", user, reason=f"user is deactivated: {pair.subject}")
        try:
            session = await app.db.write(complete, app, user.id, pair, origin, now=app.clock.now())
        except InvalidCredentials as refusal:
            raise LoginFailed("gone", user, reason=refusal.reason) from refusal
    if verification.needs_rehash and candidate.password is not None:
        await _upgrade_hash(app, user.id, password, candidate.password)
    return session


async def find_candidate(db: Database, email_key: str) -> Candidate:
    """Look an address up. The same statement runs whether anybody has it or not."""
    row = (await db.look_up(CANDIDATE, [(email_key,)]))[0]
    if row is None:
        return Candidate(None, None)
    *user, password_hash, pepper_id = row
    return Candidate(from_stored(user), None if password_hash is None else StoredPassword(password_hash, pepper_id))


def _subject(candidate: Candidate, nobody: str) -> str:
    """Name whom somebody tries to be: all spellings of an address give the same."""
    return nobody if candidate.user is None else subject_of(candidate.user.id)


@read_committed(why="it only adds a row")
def record_failure(connection: Connection, refusal: LoginFailed, origin: Origin, *, now: datetime) -> None:
    """Record that a login was refused."""
    details = {"reason": refusal.why}
    record(connection, Event.LOGIN_FAILED, origin, user_id=refusal.user_id, details=details, now=now)


@read_committed(why="the user's row is locked before the gate judges it; nothing else is read")
def complete(connection: Connection, app: App, user_id: int, pair: Pair, origin: Origin, *, now: datetime) -> Session:
    """Begin the session of a user whose password was right. Raises InvalidCredentials where the gate does."""
    forget_attempts(connection, pair)
    session = begin_session(
        connection,
        user_id,
        tokens=app.tokens,
        lifetimes=app.lifetimes,
        amr=AMR,
        address=origin.address,
        user_agent=origin.user_agent,
        now=now,
    )
    details = {"session": session.id, "amr": AMR}
    record(connection, Event.LOGIN_SUCCEEDED, origin.by(user_id), user_id=user_id, details=details, now=now)
    return session


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
