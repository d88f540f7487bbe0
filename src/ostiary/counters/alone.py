"""Being alone with a store, and no longer being alone.

A server that knows that no other uses the store counts in its memory, which costs nothing. It may do so for a little
longer than from one beat to the next, by its own clock, and less long than others take to think it gone. When another
comes, it puts all that it has counted into the store, and only then do both count there.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from math import inf

import structlog

from ostiary.clock import Clock
from ostiary.counters.store import Company, Held

BEAT_SECONDS = 0.25
VALID_SECONDS = 0.6
"""How long one beat allows being alone. Others take one who is alone for gone after 0.8 seconds (`hot.py`): so soon
that a server started again after a crash waits for nobody."""
KNOWN_SECONDS = 50.0
"""How long one beat lets a server count beside others, who take it for gone after a minute."""
WAIT_SECONDS = 10.0
"""How long a server that starts waits for one that is alone to hand over."""
LOOK_SECONDS = 0.05
TOLD_AT_ONCE = 500

log = structlog.get_logger(__name__)


class Alone:
    """Whether this server is alone with its store. Its methods are called one after the other, under one lock.

    `held` tells all that this server has counted, `changed` what of it is new since then. `settles_after_seconds` is
    the longest window: after so long without others nothing of theirs counts any more.
    """

    def __init__(
        self,
        company: Company,
        clock: Clock,
        *,
        held: Callable[[], Iterable[Held]],
        changed: Callable[[], Iterable[Held]],
        settles_after_seconds: Callable[[], float],
    ) -> None:
        self._company = company
        self._clock = clock
        self._held = held
        self._changed = changed
        self._settles_after_seconds = settles_after_seconds
        self._others_seen_at = clock.monotonic()
        self.until = -inf
        """By the monotonic clock: until then this server need not ask the store."""
        self.known_until = -inf
        """By the monotonic clock: until then the others know of this server."""
        self.has_counts = False
        """Whether all that counts is in this server's memory, and not in the store."""

    async def join(self) -> None:
        """Come, and wait until one who was alone has handed over or is gone. Raises Away."""
        sent_at = self._others_seen_at = self._clock.monotonic()
        if await self._join():
            self.has_counts, self.until = True, sent_at + VALID_SECONDS

    async def _join(self) -> bool:
        """Join; answer whether this server is alone."""
        sent_at = self._clock.monotonic()
        standing = await self._company.join()
        self.known_until = sent_at + KNOWN_SECONDS
        if not standing.others_alone:
            return standing.is_alone
        for _ in range(int(WAIT_SECONDS / LOOK_SECONDS)):
            await asyncio.sleep(LOOK_SECONDS)
            standing = await self._company.beat(is_alone=False) or await self._company.join()
            if not standing.others_alone:
                # The one who was alone is here and has handed over, or is gone and so is what it has counted.
                return not standing.others and await self._company.claim()
        log.warning("counts_not_handed_over")
        return False

    async def beat(self) -> None:
        """Say that this server lives; hand over where it is not alone any more. Raises Away."""
        sent_at = self._clock.monotonic()
        standing = await self._company.beat(is_alone=self.has_counts)
        self.known_until = sent_at + KNOWN_SECONDS
        if standing is None:  # taken for gone, or the database has crashed
            await self._come_again()
            self._others_seen_at = sent_at
        elif self.has_counts and standing.is_alone and not standing.others:
            self.until = sent_at + VALID_SECONDS
        elif self.has_counts:
            await self._hand_over()
            await self._company.beat(is_alone=False)
            self._others_seen_at = sent_at
        elif standing.others:
            self._others_seen_at = sent_at
        elif sent_at - self._others_seen_at > self._settles_after_seconds() and await self._company.claim():
            self.has_counts, self.until = True, sent_at + VALID_SECONDS

    async def _come_again(self) -> None:
        """Join anew. Others may have come and gone: what is in the store counts too, so this server is not alone."""
        self.until = -inf
        is_alone = await self._join()
        if self.has_counts:  # added only now, since another who was alone has put his own in place of what was there
            await self._tell(self._held(), adding=True)
            await self._tell(self._changed(), adding=True)
            self.has_counts = False
        if is_alone:
            await self._company.beat(is_alone=False)

    async def _hand_over(self) -> None:
        """Put what this server has counted into the store; most of it while it still serves by itself."""
        await self._tell(self._held())
        self.until = -inf  # from here on, whoever asks waits for the store
        await self._tell(self._changed())
        self.has_counts = False

    async def _tell(self, held: Iterable[Held], *, adding: bool = False) -> None:
        for part in _parts(held):
            sent_at = self._clock.monotonic()
            await self._company.take_over(part, adding=adding)
            standing = await self._company.beat(is_alone=self.has_counts)
            if sent_at < self.until and standing is not None and standing.is_alone:
                self.until = sent_at + VALID_SECONDS


def _parts(held: Iterable[Held]) -> Iterator[list[Held]]:
    """Cut into parts; no key is in two of them, since each replaces what was there."""
    part: list[Held] = []
    for each in held:
        if len(part) >= TOLD_AT_ONCE and part[-1].key != each.key:
            yield part
            part = []
        part.append(each)
    if part:
        yield part
