"""The limits of one process: counted in its memory, or in a store it shares with others, as long as that answers."""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from math import inf
from typing import Any, NamedTuple, TypeVar

import structlog

from ostiary.clock import Clock
from ostiary.counters.alone import BEAT_SECONDS, Alone
from ostiary.counters.store import Away, Held, Hit, Store
from ostiary.counters.windows import REACH, SLOTS, SlidingWindows, Verdict
from ostiary.db.coalescer import Coalescer
from ostiary.durations import Rate

PATIENCE_SECONDS = 0.25
"""How long a store may take. A request waits for the list it is in and at most the one before: twice as long."""
GREETING_SECONDS = 2.0
"""How long a store may take to be found, with all that connecting to it takes: no request waits for that."""
HAND_OVER_SECONDS = 5.0
"""How long handing over may take, while requests are served from memory."""
PROMPT_SECONDS = 0.05
SLOW_FOR_SECONDS = 1.0
SLOW_LISTS = 4
"""So many lists in a row over so long a time, none of them answered promptly: the store is as good as away, for a login
waits for several answers and must not notice (FL-4)."""
AGAIN_SECONDS = 1.0
"""How often a store that is away is asked whether it is back."""
CLEAR_AWAY_SECONDS = 30.0
MAX_BATCH = 256
_TURNS = 10
"""Of the event loop: more than it takes from bytes that have come to the answer of a call."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class _Asked(NamedTuple):
    """A hit that waits, and where this process counts it by itself."""

    hit: Hit
    limit: "Limit"
    key: str | int


class Counters:
    """Counts for every limit of a process (RL-1, RL-3, SU-6).

    Without a store all is in memory, and likewise while this process is alone with it. Otherwise it decides for all
    nodes together; while it does not answer, this node limits by itself at the same numbers, from what it has served
    itself, and asks every second whether it is back.
    """

    def __init__(self, clock: Clock, store: Store | None = None) -> None:
        self._clock = clock
        self._store = store
        self._batches = Coalescer(self._count, max_batch=MAX_BATCH)
        self._limits: list[Limit] = []
        self._one_at_a_time = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._alone: Alone | None = None
        if store is not None and store.company is not None:
            self._alone = Alone(
                store.company,
                clock,
                held=self._held,
                changed=self._changed,
                settles_after_seconds=self._longest_window,
            )
        self._slow_lists = 0
        self._slow_since = 0.0
        self.is_store_up = True
        """Whether all is well: the store, where there is one, answers."""
        self.fallbacks = 0
        """How many times the store has gone away."""
        self.counted_alone = 0
        """How many hits asked the store and got no answer in time."""

    @property
    def store_name(self) -> str:
        """`memory`, `database` or `redis`: what is used when all is well."""
        return "memory" if self._store is None else self._store.name

    @property
    def decides_until(self) -> float:
        """By the monotonic clock: until then this process decides by itself, and need not ask."""
        if self._store is None or not self.is_store_up:
            return inf
        return -inf if self._alone is None else self._alone.until

    @property
    def is_shared(self) -> bool:
        """Whether the store decides now."""
        return self._clock.monotonic() >= self.decides_until

    def limit(self, name: str, rate: Rate) -> "Limit":
        """Answer a limit with this name, which no other has."""
        limit = Limit(name, rate, self, self._clock)
        self._limits.append(limit)
        return limit

    async def start(self) -> None:
        """Look whether the store is there and who else uses it. A store that is away stops nobody from starting."""
        if self._store is None:
            return
        try:
            await _in_time(self._store.check(), GREETING_SECONDS)
            if self._alone is not None:
                await self._alone.join()
        except Away as reason:
            self._note_away(self._store, reason)
        self._tasks.append(asyncio.create_task(self._keep_tidy(self._store)))
        if self._alone is not None:
            self._tasks.append(asyncio.create_task(self._beat(self._alone)))

    async def stop(self) -> None:
        """End what runs beside, and close the store."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._store is not None:
            try:
                if self._store.company is not None and self.is_store_up:
                    await self._store.company.leave()
            except Away as reason:
                log.info("counter_store_not_left", store=self._store.name, reason=str(reason))
            await self._store.close()

    async def count(self, limit: "Limit", key: str | int) -> Verdict:
        """Ask the store about a hit, together with all that ask meanwhile; decide here where it does not answer."""
        return await self._batches(_Asked(limit.hit_of(key), limit, key))

    async def _count(self, asked: list[_Asked]) -> Sequence[Verdict]:
        store, verdicts = self._store, None
        if store is not None and self.is_store_up:
            try:
                asking = asyncio.ensure_future(self._ask(store, [each.hit for each in asked]))
                is_prompt = await _is_done(asking, PROMPT_SECONDS)
                verdicts = await _in_time(asking)
                self._note_speed(store, is_prompt=is_prompt)
            except Away as reason:
                self._note_away(store, reason)
                self.counted_alone += len(asked)
        if verdicts is None:
            return [each.limit.decide(each.key) for each in asked]
        for each, verdict in zip(asked, verdicts, strict=True):
            if verdict.allowed:  # so that this process knows what it has served, should it have to go on by itself
                each.limit.decide(each.key)
        return verdicts

    async def _ask(self, store: Store, hits: list[Hit]) -> list[Verdict] | None:
        """Ask the store; None where this process turns out to be alone after all."""
        async with self._one_at_a_time:
            alone = self._alone
            if alone is not None and (alone.has_counts or self._clock.monotonic() >= alone.known_until):
                await alone.beat()  # it was held up, and has missed its own
                if self._clock.monotonic() < alone.until:
                    return None
            return await store.count(hits)

    async def _beat(self, alone: Alone) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            if not self.is_store_up:
                continue
            try:
                async with self._one_at_a_time:
                    await _in_time(alone.beat(), HAND_OVER_SECONDS if alone.has_counts else PATIENCE_SECONDS)
            except Away as reason:
                log.debug("counter_store_beat_missed", reason=str(reason))  # the next request says what that means

    def _held(self) -> Iterator[Held]:
        return (held for limit in self._limits for held in limit.held())

    def _changed(self) -> Iterator[Held]:
        return (held for limit in self._limits for held in limit.changed())

    def _longest_window(self) -> float:
        return max((limit.window_seconds for limit in self._limits), default=0) * REACH / SLOTS + 1

    def _note_speed(self, store: Store, *, is_prompt: bool) -> None:
        now = asyncio.get_running_loop().time()
        if not self._slow_lists:
            self._slow_since = now
        self._slow_lists = 0 if is_prompt else self._slow_lists + 1
        if self._slow_lists >= SLOW_LISTS and now - self._slow_since >= SLOW_FOR_SECONDS:
            self._note_away(store, Away(f"each answer took more than {PROMPT_SECONDS} s, for {SLOW_FOR_SECONDS} s"))

    def _note_away(self, store: Store, reason: Away) -> None:
        if not self.is_store_up:  # a second list, that was on its way at the same time
            return
        self.is_store_up = False
        self._slow_lists = 0
        self.fallbacks += 1
        log.warning("counter_store_away", store=store.name, reason=str(reason))
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.create_task(self._wait_for(store)))

    async def _wait_for(self, store: Store) -> None:
        """Ask every second, until the store is there again, and prompt."""
        while not self.is_store_up:
            await asyncio.sleep(AGAIN_SECONDS)
            try:
                await _in_time(store.check(), GREETING_SECONDS)
                await _in_time(store.check(), PROMPT_SECONDS)  # now that there is a connection
                if self._alone is not None:
                    async with self._one_at_a_time:
                        await _in_time(self._alone.beat(), HAND_OVER_SECONDS)
            except Away:
                continue
            self.is_store_up = True
            log.warning("counter_store_back", store=store.name)

    async def _keep_tidy(self, store: Store) -> None:
        while True:
            await asyncio.sleep(CLEAR_AWAY_SECONDS)
            try:
                if self.is_store_up:
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
        self._changed: set[str | int] | None = None
        self._counters = counters
        self._clock = clock

    def hit_alone(self, key: str | int) -> Verdict | None:
        """Serve or refuse a hit at once, where this process decides by itself; None where it does not."""
        now = self._clock.monotonic()
        if now >= self._counters.decides_until:
            return None
        if self._changed is not None:
            self._changed.add(key)
        return self._windows.hit(key, now)

    async def hit(self, key: str | int) -> Verdict:
        """Serve or refuse a hit, whoever decides."""
        verdict = self.hit_alone(key)
        return await self._counters.count(self, key) if verdict is None else verdict

    def hit_of(self, key: str | int) -> Hit:
        """Say to a store what is counted under a key."""
        return Hit(f"{self._prefix}{key}", self.limit, self.window_seconds)

    def decide(self, key: str | int) -> Verdict:
        """Count in this process's memory, whatever the store says."""
        if self._changed is not None:
            self._changed.add(key)
        return self._windows.hit(key, self._clock.monotonic())

    def held(self) -> Iterator[Held]:
        """Tell all that this process has counted, and remember from then on what changes."""
        self._changed = set()
        yield from self._told(None)

    def changed(self) -> Iterator[Held]:
        """Tell what has changed since, and remember no more."""
        keys, self._changed = self._changed, None
        yield from self._told(keys or ())

    def _told(self, keys: Iterable[str | int] | None) -> Iterator[Held]:
        for key, age, hits in self._windows.held(self._clock.monotonic(), keys):
            yield Held(f"{self._prefix}{key}", self.limit, self.window_seconds, age, hits)


async def _in_time(asking: Coroutine[Any, Any, T] | asyncio.Future[T], seconds: float | None = None) -> T:
    """Give a store its time. Raises Away for one that takes longer, and for one that fails in a way it should not."""
    patience = PATIENCE_SECONDS if seconds is None else seconds
    task = asyncio.ensure_future(asking)
    try:
        if await _is_done(task, patience):
            return task.result()
    except Away:
        raise
    except Exception as error:
        log.exception("counter_store_failed")
        raise Away(type(error).__name__) from error
    finally:
        task.cancel()
    raise Away(f"no answer within {patience} s")


async def _is_done(asking: "asyncio.Future[Any]", seconds: float) -> bool:
    """Say whether a question is answered by then.

    A process that was held up itself may find both the answer and the end of its patience waiting. Then it is given a
    chance to read the answer, or being busy would look like a store that hangs.
    """
    if not asking.done():  # else a wait would cost a turn of the event loop
        await asyncio.wait({asking}, timeout=seconds)
    for _ in range(_TURNS):
        if asking.done():
            break
        await asyncio.sleep(0)
    return asking.done()
