"""The limits of one process: counted in its memory, or in a store it shares with others, as long as that answers."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import structlog

from ostiary.clock import Clock
from ostiary.counters.store import Away, Hit, Store
from ostiary.counters.windows import SlidingWindows, Verdict
from ostiary.db.coalescer import Coalescer
from ostiary.durations import Rate

PATIENCE_SECONDS = 0.25
"""How long a store may take. A request waits for the list it is in and at most the one before: twice as long."""
AGAIN_SECONDS = 1.0
"""How often a store that is away is asked whether it is back."""
CLEAR_AWAY_SECONDS = 30.0
MAX_BATCH = 256
_TURNS = 10
"""Of the event loop: more than it takes from bytes that have come to the answer of a call."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Counters:
    """Counts for every limit of a process (RL-1, RL-3, SU-6).

    Without a store all is in memory. With one, it decides for all nodes together; while it does not answer, this node
    limits by itself at the same numbers, from what it has served itself, and asks every second whether it is back.
    """

    def __init__(self, clock: Clock, store: Store | None = None) -> None:
        self._clock = clock
        self._store = store
        self._batches = Coalescer(self._count, max_batch=MAX_BATCH)
        self._tasks: list[asyncio.Task[None]] = []
        self.is_shared = store is not None
        """Whether the store decides now. Without one, or while it is away, this process does by itself."""
        self.fallbacks = 0
        """How many times the store has gone away."""
        self.counted_alone = 0
        """How many hits asked the store and got no answer in time."""

    @property
    def store_name(self) -> str:
        """`memory`, `database` or `redis`: what is used when all is well."""
        return "memory" if self._store is None else self._store.name

    @property
    def is_store_up(self) -> bool:
        """Whether all is well: the store, where there is one, answers."""
        return self._store is None or self.is_shared

    def limit(self, name: str, rate: Rate) -> "Limit":
        """Answer a limit with this name, which no other has."""
        return Limit(name, rate, self, self._clock)

    async def start(self) -> None:
        """Look whether the store is there, and keep it tidy. A store that is away stops nobody from starting."""
        if self._store is None:
            return
        self._tasks.append(asyncio.create_task(self._keep_tidy(self._store)))
        try:
            await _in_time(self._store.check())
        except Away as reason:
            self._note_away(self._store, reason)

    async def stop(self) -> None:
        """End what runs beside, and close the store."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._store is not None:
            self.is_shared = False
            await self._store.close()

    async def count(self, hit: Hit) -> Verdict | None:
        """Ask the store about a hit, together with all that ask meanwhile; None where it does not answer in time."""
        return await self._batches(hit)

    async def _count(self, hits: list[Hit]) -> Sequence[Verdict | None]:
        store = self._store
        if store is not None and self.is_shared:
            try:
                return await _in_time(store.count(hits))
            except Away as reason:
                self._note_away(store, reason)
        self.counted_alone += len(hits)
        return [None] * len(hits)

    def _note_away(self, store: Store, reason: Away) -> None:
        if not self.is_shared:  # a second list, that was on its way at the same time
            return
        self.is_shared = False
        self.fallbacks += 1
        log.warning("counter_store_away", store=store.name, reason=str(reason))
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.create_task(self._wait_for(store)))

    async def _wait_for(self, store: Store) -> None:
        """Ask every second, until the store is there again."""
        while not self.is_shared:
            await asyncio.sleep(AGAIN_SECONDS)
            try:
                await _in_time(store.check())
            except Away:
                continue
            self.is_shared = True
            log.warning("counter_store_back", store=store.name)

    async def _keep_tidy(self, store: Store) -> None:
        while True:
            await asyncio.sleep(CLEAR_AWAY_SECONDS)
            try:
                if self.is_shared:
                    await store.clear_away()
            except Away as reason:
                log.warning("counter_store_not_cleared", store=store.name, reason=str(reason))
            except Exception:
                log.exception("counter_store_not_cleared", store=store.name)


class Limit:
    """At most so many hits in any stretch of a window, for each key by itself."""

    def __init__(self, name: str, rate: Rate, counters: Counters, clock: Clock) -> None:
        self.name = name
        self.limit = rate.limit
        self.window_seconds = int(rate.window.total_seconds())
        self._prefix = f"{name}:{self.limit}/{self.window_seconds}:"
        self._windows = SlidingWindows(self.limit, self.window_seconds)
        self._counters = counters
        self._clock = clock

    def hit_alone(self, key: str | int) -> Verdict | None:
        """Serve or refuse a hit at once, where this process decides by itself; None where it does not."""
        if self._counters.is_shared:
            return None
        return self._windows.hit(key, self._clock.monotonic())

    async def hit(self, key: str | int) -> Verdict:
        """Serve or refuse a hit, whoever decides."""
        verdict = None
        if self._counters.is_shared:
            verdict = await self._counters.count(Hit(f"{self._prefix}{key}", self.limit, self.window_seconds))
        if verdict is None:
            return self._windows.hit(key, self._clock.monotonic())
        if verdict.allowed:  # so that this process knows what it has served, should it have to go on by itself
            self._windows.hit(key, self._clock.monotonic())
        return verdict


async def _in_time(asking: Coroutine[Any, Any, T]) -> T:
    """Give a store its time. Raises Away for one that takes longer, and for one that fails in a way it should not.

    A process that was held up itself may find both the answer and the end of its patience waiting. Then it is given a
    chance to read the answer, or being busy would look like a store that hangs.
    """
    task = asyncio.ensure_future(asking)
    try:
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        for _ in range(_TURNS):
            if not task.done():
                await asyncio.sleep(0)
        if task.done():
            return task.result()
    except Away:
        raise
    except Exception as error:
        log.exception("counter_store_failed")
        raise Away(type(error).__name__) from error
    finally:
        task.cancel()
    raise Away(f"no answer within {PATIENCE_SECONDS} s")
