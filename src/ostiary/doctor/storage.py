"""The database: whether it answers, keeps what it acknowledges, holds what we need, and what work waits in it."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from statistics import median

from sqlalchemy import Connection, func, select

from ostiary.audit.sealing.flows import unplaced
from ostiary.clock import Clock
from ostiary.db import Misconfigured, Unreachable
from ostiary.db.schema import State, check_durability, standing
from ostiary.doctor.faults import Finding, found
from ostiary.doctor.patient import Patient
from ostiary.keys.models import all_keys
from ostiary.keys.schedule import due_at, signing_key
from ostiary.mail.outbox import all_waiting

QUESTIONS = 5
SLOW_SECONDS = 0.02
OLDEST_POSTGRES = 140000
CLOCKS_MAY_DIFFER = timedelta(seconds=5)
KEY_MAY_BE_LATE = timedelta(days=1)
MAIL_MAY_WAIT = timedelta(minutes=15)
SEAL_MAY_WAIT = timedelta(minutes=5)


async def look_at_database(patient: Patient) -> Iterable[Finding]:
    """Look at reach, speed, version and durability. Raises nothing that the database is at fault for."""
    database = patient.database
    try:
        if (await standing(database)).state is State.EMPTY:
            return [found("installation-missing", f"{database.place} is empty")]
        seconds = []
        for _ in range(QUESTIONS):
            began_at = patient.clock.monotonic()
            await database.read(_ask_nothing)
            seconds.append(patient.clock.monotonic() - began_at)
        findings = [] if median(seconds) <= SLOW_SECONDS else [_slow(median(seconds))]
        if database.engine == "postgresql":
            owner = patient.settings.database_owner_url
            findings += await database.read(_about_postgres, patient.clock, has_owner=owner is not None)
    except Unreachable as problem:
        return [found("database-unreachable", f"{database.place}: {problem.reason}")]
    return findings


def _ask_nothing(connection: Connection) -> None:
    connection.execute(select(1)).scalar()


def _slow(seconds: float) -> Finding:
    return found("database-slow", f"a question takes {seconds * 1000:.0f} ms")


def _about_postgres(connection: Connection, clock: Clock, *, has_owner: bool) -> list[Finding]:
    findings = []
    version = int(_setting(connection, "server_version_num"))
    if version < OLDEST_POSTGRES:
        findings.append(found("database-too-old", f"PostgreSQL {_setting(connection, 'server_version')}"))
    try:
        check_durability(connection)
    except Misconfigured as problem:
        findings.append(found("database-not-durable", str(problem)))
    if not has_owner:
        findings.append(found("owner-not-separate", "database_owner_url is not given"))
    theirs: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    findings += judge_clock(clock.now(), theirs, "the database's")
    return findings


def _setting(connection: Connection, name: str) -> str:
    return str(connection.execute(select(func.current_setting(name))).scalar_one())


def judge_clock(ours: datetime, theirs: datetime, whose: str) -> Iterator[Finding]:
    """Compare two clocks."""
    if abs(ours - theirs.astimezone(UTC)) > CLOCKS_MAY_DIFFER:
        yield found("clock-differs", f"{whose} says {theirs.astimezone(UTC):%F %T} UTC, this machine {ours:%F %T}")


async def look_at_schema(patient: Patient) -> Iterable[Finding]:
    """Look at whether this version may work with the schema."""
    try:
        stands = await standing(patient.database)
    except Unreachable:
        return []  # said already
    if stands.state is State.OLDER:
        return [found("schema-older", f"{patient.database.place} has schema version {stands.revision}")]
    if stands.state is State.NEWER:
        return [found("schema-newer", f"{patient.database.place} has schema version {stands.revision}")]
    return []


async def look_at_work(patient: Patient) -> Iterable[Finding]:
    """Look at keys, and at work that a running server would have done."""
    try:
        if not (await standing(patient.database)).is_usable:
            return []
        return await patient.database.read(_about_work, now=patient.clock.now())
    except Unreachable:
        return []  # said already


def _about_work(connection: Connection, *, now: datetime) -> list[Finding]:
    findings = []
    keys = all_keys(connection)
    due = due_at(keys)
    if keys and signing_key(keys, now=now) is None:  # the first is made when a server first starts
        findings.append(found("signing-key-missing", f"there are {len(keys)} keys, and none is active"))
    elif due is not None and now - due > KEY_MAY_BE_LATE:
        findings.append(found("signing-key-overdue", f"it was due on {due:%F}"))
    findings += _about_waiting("mail-waits", *all_waiting(connection), now=now, longest=MAIL_MAY_WAIT)
    findings += _about_waiting("audit-not-sealed", *unplaced(connection), now=now, longest=SEAL_MAY_WAIT)
    return findings


def _about_waiting(
    name: str, count: int, since: datetime | None, *, now: datetime, longest: timedelta
) -> Iterator[Finding]:
    if since is not None and now - since > longest:
        yield found(name, f"{count} wait, the oldest since {since:%F %T} UTC")
