"""Guessing is bounded (LG-3, first stage): for each account and source, ten failures in a quarter of an hour.

The attempt is booked first and the password verified second (D2), so that no number of guesses at once exceeds the
limit, and a guess that is cut off counts. Counters live in the database and survive a restart. Nobody is told.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Integer, String, Table, Text, delete, select, tuple_, update

from ostiary.db import read_committed
from ostiary.db.types import Moment, from_milliseconds, metadata, to_milliseconds
from ostiary.login.hot import BOOKED, BOOKING, FORGETTING

FAILURES = 10
WINDOW = timedelta(minutes=15)
BLOCK = timedelta(minutes=15)

login_throttles = Table(
    "login_throttles",
    metadata,
    Column("subject", String(64), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("attempts", Text, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("updated_at", Moment, nullable=False, index=True),
)


class Pair(NamedTuple):
    """Whom somebody tries to be, and from where."""

    subject: str
    """The account's id, or a keyed hash of the address nobody has."""
    source: str
    """An IPv4 address or an IPv6 /64."""


def is_blocked(attempts: list[datetime], *, now: datetime) -> bool:
    """Decide by the last ten booked attempts, oldest first: so many so close together block for a while."""
    if len(attempts) < FAILURES:
        return False
    last_ten = attempts[-FAILURES:]
    return last_ten[-1] - last_ten[0] < WINDOW and now < last_ten[-1] + BLOCK


@read_committed(why="the first statement makes or locks the pair's row, whoever else deletes it meanwhile")
def book_attempt(connection: Connection, pair: Pair, *, now: datetime) -> bool:
    """Book an attempt before anything is verified; answer whether it may be verified at all.

    A refused attempt writes as much as a booked one, so that the two take equally long (LG-2).
    """
    stored, refused = BOOKED.run(connection, *pair, to_milliseconds(now))[0]
    booked: list[int] = json.loads(stored)
    blocked = is_blocked([from_milliseconds(moment) for moment in booked], now=now)
    if not blocked:
        booked = [*booked, to_milliseconds(now)][-FAILURES:]
    BOOKING.run(connection, *pair, json.dumps(booked), refused + int(blocked))
    return not blocked


@read_committed(why="the pair's row is locked before it is changed")
def withdraw_attempt(connection: Connection, pair: Pair) -> None:
    """Take back the latest attempt: it was booked and then not verified, for want of room."""
    row = connection.execute(select(login_throttles.c.attempts).where(_is(pair)).with_for_update()).first()
    if row is not None:
        attempts = json.dumps(json.loads(row.attempts)[:-1])
        connection.execute(update(login_throttles).where(_is(pair)).values(attempts=attempts))


def forget_attempts(connection: Connection, pair: Pair) -> None:
    """Clear a pair's attempts, after the right password."""
    FORGETTING.run(connection, *pair)


def subject_of(user_id: int) -> str:
    """Name an account: all spellings of its address, and proofs of its password, give the same."""
    return f"user:{user_id}"


def forget_user(connection: Connection, user_id: int) -> None:
    """Clear all that is kept of attempts at an account that has ended."""
    connection.execute(delete(login_throttles).where(login_throttles.c.subject == subject_of(user_id)))


def _is(pair: Pair) -> ColumnElement[bool]:
    return (login_throttles.c.subject == pair.subject) & (login_throttles.c.source == pair.source)


def purge_throttles(connection: Connection, *, now: datetime, limit: int) -> int:
    """Remove some rows that cannot block anybody any more; answer how many."""
    t = login_throttles.c
    some = select(t.subject, t.source).where(t.updated_at < now - WINDOW - BLOCK).limit(limit)
    return connection.execute(delete(login_throttles).where(tuple_(t.subject, t.source).in_(some))).rowcount


@dataclass(slots=True)
class _Turn:
    booking: asyncio.Lock = field(default_factory=asyncio.Lock)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    verifying: int = 0
    holders: int = 0


class Attempts:
    """Attempts that this process is working on, by pair.

    Booked attempts look like failures until they are verified. Somebody who opens a dozen tabs at once with the
    right password is not to be taken for a guesser: while attempts are being verified, one that finds the limit
    reached waits for their outcome instead of being refused.
    """

    def __init__(self) -> None:
        self._turns: dict[Pair, _Turn] = {}

    @asynccontextmanager
    async def book(self, pair: Pair, book: Callable[[], Awaitable[bool]]) -> AsyncIterator[bool]:
        """Book through `book`; the body verifies and settles. Yields whether the attempt may be verified."""
        turn = self._turns.setdefault(pair, _Turn())
        turn.holders += 1
        try:
            async with turn.booking:
                allowed = await self._wait_for_place(turn, book)
                turn.verifying += allowed
            try:
                yield allowed
            finally:
                turn.verifying -= allowed
                turn.settled.set()
        finally:
            turn.holders -= 1
            if not turn.holders:
                self._turns.pop(pair, None)

    async def _wait_for_place(self, turn: _Turn, book: Callable[[], Awaitable[bool]]) -> bool:
        """Book, again after each attempt that settles, until there is a place or nothing is left to wait for."""
        while True:
            turn.settled.clear()
            others = turn.verifying
            if await book():
                return True
            if not others:
                return False
            await turn.settled.wait()
