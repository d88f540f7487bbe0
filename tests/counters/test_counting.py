"""What a process makes of a store: a small one in this process, which answers, hangs or breaks as it is told."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from ostiary.counters import Away, Counters, Hit, Verdict
from ostiary.counters.counting import PATIENCE_SECONDS, PROMPT_SECONDS, SLOW_LISTS
from ostiary.durations import Rate
from tests.clock import FakeClock

RATE = Rate(3, timedelta(minutes=1))


class SmallStore:
    """Serves everybody, unless `trouble` does something else first."""

    name = "small"
    company = None

    def __init__(self) -> None:
        self.trouble: Callable[[], Awaitable[None]] | None = None
        self.lists: list[int] = []
        self.checks = 0
        self.is_closed = False

    async def count(self, hits: Sequence[Hit]) -> list[Verdict]:
        self.lists.append(len(hits))
        if self.trouble is not None:
            await self.trouble()
        return [Verdict(allowed=True, remaining=99, reset_seconds=1) for _ in hits]

    async def check(self) -> None:
        self.checks += 1
        if self.trouble is not None:
            await self.trouble()

    async def clear_away(self) -> None:
        pass

    async def close(self) -> None:
        self.is_closed = True


async def hang() -> None:
    await asyncio.sleep(60)


async def be_away() -> None:
    raise Away("gone fishing")


async def break_down() -> None:
    raise ZeroDivisionError


@contextmanager
def quick_to_return() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ostiary.counters.counting.AGAIN_SECONDS", 0.02)
        yield


async def together(store: SmallStore) -> Counters:
    counters = Counters(FakeClock(), store)
    await counters.start()
    return counters


async def shared_again(counters: Counters) -> None:
    while not counters.is_shared:  # noqa: ASYNC110 - nobody else waits for it
        await asyncio.sleep(0.01)


def test_a_store_may_take_longer_to_be_found_than_to_count() -> None:
    async def scenario() -> None:
        store = SmallStore()
        store.trouble = lambda: asyncio.sleep(2 * PATIENCE_SECONDS)
        counters = await together(store)
        assert counters.is_shared
        await counters.stop()

    asyncio.run(scenario())


def test_what_is_asked_at_once_goes_in_one_list() -> None:
    async def ask() -> list[int]:
        store = SmallStore()
        counters = await together(store)
        limit = counters.limit("address", RATE)
        verdicts = await asyncio.gather(*(limit.hit(number) for number in range(20)))
        assert {verdict.remaining for verdict in verdicts} == {99}
        await counters.stop()
        assert store.is_closed
        return store.lists

    assert asyncio.run(ask()) == [20]


@pytest.mark.rule("RL-3")
@pytest.mark.parametrize("trouble", [hang, be_away, break_down])
def test_without_an_answer_the_process_decides_from_what_it_has_served(trouble: Callable[[], Awaitable[None]]) -> None:
    async def ask() -> None:
        store = SmallStore()
        counters = await together(store)
        limit = counters.limit("address", RATE)
        assert (await limit.hit("a")).remaining == 99
        assert limit.hit_alone("a") is None
        store.trouble = trouble
        began_at = time.monotonic()
        told = [await limit.hit("a") for _ in range(3)]
        assert time.monotonic() - began_at < 20 * PATIENCE_SECONDS, "a hang would last a minute"
        assert [(verdict.allowed, verdict.remaining) for verdict in told] == [(True, 1), (True, 0), (False, 0)]
        assert len(store.lists) == 2, "and asks the store no more"
        assert limit.hit_alone("b") is not None
        assert (counters.is_store_up, counters.fallbacks, counters.counted_alone) == (False, 1, 1)
        store.trouble = None
        await shared_again(counters)
        assert (await limit.hit("a")).remaining == 99
        await counters.stop()

    with quick_to_return(), capture_logs() as lines:
        asyncio.run(asyncio.wait_for(ask(), 20))
    events = [line["event"] for line in lines if line["event"] != "counter_store_failed"]
    assert events == ["counter_store_away", "counter_store_back"], "once each way"


@pytest.mark.rule("RL-3")
def test_a_process_starts_without_its_store_and_finds_it_later() -> None:
    async def ask() -> None:
        store = SmallStore()
        store.trouble = be_away
        counters = await together(store)
        assert counters.limit("address", RATE).hit_alone("a") is not None
        store.trouble = None
        await shared_again(counters)
        await counters.stop()

    with quick_to_return():
        asyncio.run(asyncio.wait_for(ask(), 20))


@pytest.mark.rule("RL-3")
def test_a_process_that_was_held_up_itself_does_not_take_the_store_for_dead() -> None:
    """The answer has come, and so has the end of patience: the event loop sees both at once."""

    async def answer_meanwhile() -> None:
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()
        loop.call_later(PATIENCE_SECONDS / 2, arrived.set_result, None)
        loop.call_later(PATIENCE_SECONDS / 4, time.sleep, 2 * PATIENCE_SECONDS)
        await arrived

    async def ask() -> None:
        store = SmallStore()
        counters = await together(store)
        store.trouble = answer_meanwhile
        assert (await counters.limit("address", RATE).hit("a")).remaining == 99
        assert counters.fallbacks == 0
        await counters.stop()

    asyncio.run(asyncio.wait_for(ask(), 20))


@pytest.mark.rule("FL-4", "RL-3")
def test_a_store_that_is_slow_with_every_answer_is_away_until_it_is_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ostiary.counters.counting.SLOW_FOR_SECONDS", 0.3)
    monkeypatch.setattr("ostiary.counters.counting.PATIENCE_SECONDS", 20.0)

    async def dawdle() -> None:
        await asyncio.sleep(2 * PROMPT_SECONDS)
        for _ in range(30):  # where this process stood still, the end of promptness must be seen before the answer
            await asyncio.sleep(0)

    async def ask() -> None:
        store = SmallStore()
        counters = await together(store)
        limit = counters.limit("address", RATE)
        for trouble in [dawdle, dawdle, None, dawdle, dawdle]:
            store.trouble = trouble
            await limit.hit("a")
        assert (counters.is_shared, counters.fallbacks) == (True, 0), "it was prompt in between"
        for _ in range(SLOW_LISTS):
            await limit.hit("a")
        assert (counters.is_shared, counters.fallbacks, counters.counted_alone) == (False, 1, 0)
        checks = store.checks
        while store.checks < checks + 4:  # noqa: ASYNC110 - nobody else waits for it
            await asyncio.sleep(0.01)
        assert (counters.is_shared, counters.fallbacks) == (False, 1), "it answers, and is as slow as before"
        store.trouble = None
        await shared_again(counters)
        await counters.stop()

    with quick_to_return():
        asyncio.run(asyncio.wait_for(ask(), 20))


def test_memory_alone_never_waits() -> None:
    counters = Counters(FakeClock())
    limit = counters.limit("address", RATE)
    verdict = limit.hit_alone("a")
    assert verdict is not None
    assert verdict.remaining == 2
    assert (counters.store_name, counters.is_store_up, counters.is_shared) == ("memory", True, False)
