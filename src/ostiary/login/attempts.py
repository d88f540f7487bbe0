"""The one way to try a password: booked first, then verified, then settled (D2)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from ostiary.context import App
from ostiary.crypto.passwords import StoredPassword, Verification
from ostiary.crypto.workers import Place
from ostiary.login.places import Approach
from ostiary.login.throttle import Attempt, book_attempt, withdraw_attempt
from ostiary.problems import Unavailable

_Whose: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a presented password."""

    ok: bool
    """True only for the right password, in an attempt that was allowed."""
    needs_rehash: bool
    reason: str
    """Why it is not ok, for the log alone."""


@asynccontextmanager
async def booked(app: App, approach: Approach) -> AsyncIterator[Attempt]:
    """Book an attempt; the body verifies it, and calls `note_success` in the transaction of what a success is for.

    Whatever the body raises leaves it booked, but for want of room: then nobody has guessed wrong, and a server under
    load must not block its users afterwards.
    """

    async def book() -> Attempt:
        return await app.db.write(book_attempt, approach, now=app.clock.now())

    async with app.attempts.book(approach, book) as attempt:
        try:
            yield attempt
        except Unavailable:
            if attempt.is_allowed:
                await app.db.write(withdraw_attempt, attempt)
            raise


async def verify(
    app: App,
    attempt: Attempt,
    password: str,
    stored: StoredPassword | None,
    *,
    place: Place[Verification] | None = None,
) -> Outcome:
    """Verify the password of a booked attempt. One that was refused is hashed all the same (LG-2), and never ok.

    Raises Unavailable when too many wait.
    """
    verification = await app.hasher.verify(password, stored, place=place)
    if not attempt.is_allowed:
        return Outcome(ok=False, needs_rehash=False, reason=f"throttled ({attempt.verdict})")
    return Outcome(verification.ok, verification.needs_rehash, verification.reason)


@dataclass(slots=True)
class _Turn:
    booking: asyncio.Lock = field(default_factory=asyncio.Lock)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    verifying: int = 0
    holders: int = 0


class Attempts:
    """Attempts that this process is working on, by account and source.

    Booked attempts look like failures until they are verified. Somebody who opens a dozen tabs at once with the
    right password is not to be taken for a guesser: while attempts are being verified, one that finds the limit
    reached waits for their outcome instead of being refused. It waits for those of its own source alone: strangers
    who try without end must not hold the owner up.
    """

    def __init__(self) -> None:
        self._turns: dict[_Whose, _Turn] = {}

    @asynccontextmanager
    async def book(self, approach: Approach, book: Callable[[], Awaitable[Attempt]]) -> AsyncIterator[Attempt]:
        """Book through `book`; the body verifies and settles. Yields the attempt, which may be a refused one."""
        whose = (approach.subject, approach.source)
        turn = self._turns.setdefault(whose, _Turn())
        turn.holders += 1
        try:
            async with turn.booking:
                attempt = await self._wait_for_place(turn, book)
                turn.verifying += attempt.is_allowed
            try:
                yield attempt
            finally:
                turn.verifying -= attempt.is_allowed
                turn.settled.set()
        finally:
            turn.holders -= 1
            if not turn.holders:
                self._turns.pop(whose, None)

    async def _wait_for_place(self, turn: _Turn, book: Callable[[], Awaitable[Attempt]]) -> Attempt:
        """Book, again after each attempt that settles, until there is a place or nothing is left to wait for."""
        while True:
            turn.settled.clear()
            others = turn.verifying
            attempt = await book()
            if attempt.is_allowed or not others:
                return attempt
            await turn.settled.wait()
