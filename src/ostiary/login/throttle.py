"""Guessing is bounded (LG-3), and its bounds never keep the owner out (LG-4).

An attempt is booked first and verified second (D2), so that no number of guesses at once exceeds a limit, and a guess
that is cut off counts. All of an account is in one row, whose lock decides who comes first. It survives a restart and
is shared by all servers of a database. Nobody is told how it stands: a refused attempt writes, answers and takes as
long as one that was verified in vain.

Whoever locks the user's row as well locks it before this one.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, Connection, Integer, String, Table, Text, delete, exists, or_, select, update

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.db import read_committed
from ostiary.db.types import Moment, UserId, metadata, to_milliseconds
from ostiary.edge.source import Source
from ostiary.login.hot import ATTEMPTS_HELD, BOOKED, BOOKING, FORGETTING
from ostiary.login.places import Approach, approach_to_user, remember_place, subject_of
from ostiary.login.stages import KEPT_FOR, Past, Verdict, judge
from ostiary.users.models import users

NOTHING = "{}"

login_throttles = Table(
    "login_throttles",
    metadata,
    Column("subject", String(64), primary_key=True),
    # No foreign key: checking it would tell an account from an address that nobody has, by time.
    Column("user_id", UserId),
    Column("failures", Text, nullable=False),
    Column("strangers", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("updated_at", Moment, nullable=False, index=True),
)


class Attempt(NamedTuple):
    """An attempt as it was booked."""

    approach: Approach
    verdict: Verdict
    at: int
    """When, in milliseconds since 1970."""
    kept: str | None
    """The account's failures as the booking left them, where all of them are this source's."""

    @property
    def is_allowed(self) -> bool:
        """Say whether it may be verified at all."""
        return self.verdict.is_allowed


@read_committed(why="the first statement makes or locks the account's row, whoever else deletes it meanwhile")
def book_attempt(connection: Connection, approach: Approach, *, now: datetime) -> Attempt:
    """Book an attempt before anything is verified, and decide whether it may be verified at all.

    A refused attempt writes as much as a booked one, so that the two take equally long (LG-2).
    """
    at = to_milliseconds(now)
    stored, strangers, refused = BOOKED.run(connection, approach.subject, approach.user_id, at)[0]
    past = Past.stored(stored, strangers, now=at)
    verdict = judge(past, approach, now=at)
    if verdict.is_allowed:
        past = past.with_attempt(approach, verdict, at)
    kept = past.to_store()
    BOOKING.run(connection, approach.subject, kept, past.strangers, refused + (not verdict.is_allowed))
    is_alone = past.failures.keys() == {approach.network} and len(past.failures[approach.network]) == 1
    return Attempt(approach, verdict, at, kept if is_alone else None)


@read_committed(why="the account's row is locked before it is changed")
def withdraw_attempt(connection: Connection, attempt: Attempt) -> None:
    """Take back an attempt: it was booked and then not verified, for want of room."""
    subject = attempt.approach.subject
    for stored, strangers in ATTEMPTS_HELD.run(connection, subject):
        past = Past.stored(stored, strangers, now=attempt.at)
        _keep(connection, subject, past.without_attempt(attempt.approach, attempt.verdict, attempt.at))


def note_success(connection: Connection, attempt: Attempt) -> None:
    """Clear what the right password clears: the failures of its source, and the strangers' count of its account.

    What others have failed within the hour stays counted. Belongs into the transaction of what the success is for,
    after the user's row was locked there.
    """
    subject = attempt.approach.subject
    if attempt.kept is not None and FORGETTING.run(connection, subject, attempt.kept):
        return
    for stored, strangers in ATTEMPTS_HELD.run(connection, subject):
        past = Past.stored(stored, strangers, now=attempt.at).after_success(attempt.approach)
        if past.failures:
            _keep(connection, subject, past)
        else:
            forget_attempts(connection, subject)


def recovered(connection: Connection, user_id: int, source: Source, *, now: datetime) -> None:
    """Let an account whose password was reset begin anew, and its owner log in from where he did it.

    Belongs into the transaction of the reset, after the user's row was locked there.
    """
    forget_attempts(connection, subject_of(user_id))
    remember_place(connection, approach_to_user(user_id, source, known_since=None), now=now)


def unlock(connection: Connection, user_id: int, *, origin: Origin, now: datetime) -> None:
    """Let an account be tried anew from everywhere, because an operator says so."""
    forget_user(connection, user_id)
    record(connection, Event.THROTTLE_CLEARED, origin, user_id=user_id, now=now)


def forget_user(connection: Connection, user_id: int) -> None:
    """Remove what is counted for an account that has ended. Its places go with it, by the tables' constraints."""
    forget_attempts(connection, subject_of(user_id))


def forget_attempts(connection: Connection, subject: str) -> None:
    """Remove all that is counted for an account."""
    connection.execute(delete(login_throttles).where(login_throttles.c.subject == subject))


def _keep(connection: Connection, subject: str, past: Past) -> None:
    changed = update(login_throttles).where(login_throttles.c.subject == subject)
    connection.execute(changed.values(failures=past.to_store(), strangers=past.strangers))


def purge_throttles(connection: Connection, *, now: datetime, limit: int) -> int:
    """Remove some rows that cannot refuse anybody any more; answer how many.

    Failures from unknown places that followed each other count for as long as the account lives. For addresses that
    nobody has they are forgotten, or else whoever makes up addresses would fill the table.
    """
    t = login_throttles.c
    is_gone = ~exists().where(users.c.id == t.user_id)
    past = (t.updated_at < now - KEPT_FOR) & or_(t.strangers == 0, t.user_id.is_(None), is_gone)
    some = select(t.subject).where(past).limit(limit)
    return connection.execute(delete(login_throttles).where(t.subject.in_(some))).rowcount


def purge_sources(connection: Connection, *, now: datetime, limit: int) -> int:
    """Remove from some of the rows that stay the sources, which do not matter any more; answer from how many."""
    t = login_throttles.c
    some = select(t.subject).where(t.updated_at < now - KEPT_FOR, t.failures != NOTHING).limit(limit)
    return connection.execute(update(login_throttles).where(t.subject.in_(some)).values(failures=NOTHING)).rowcount
