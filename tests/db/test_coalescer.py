"""The coalescer: batches without waiting, each answer to its own caller."""

import asyncio
from collections.abc import Sequence

import pytest

from ostiary.db.coalescer import PATIENCE_SECONDS, Coalescer
from ostiary.db.database import Allowance, Unreachable, allowance


class Doubler:
    """Doubles numbers in batches, which it remembers; refuses 13; each batch takes until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.came = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, items: list[int]) -> Sequence[int | Exception]:
        self.batches.append(items)
        self.came.set()
        await self.go.wait()
        if 99 in items:
            raise OSError("the batch failed")
        return [ValueError("unlucky") if item == 13 else item * 2 for item in items]


def test_a_lone_item_leaves_at_once_and_what_arrives_meanwhile_leaves_together() -> None:
    async def story() -> None:
        double = Doubler()
        ask = Coalescer(double)
        first = asyncio.ensure_future(ask(1))
        await double.came.wait()
        others = [asyncio.ensure_future(ask(number)) for number in (2, 3, 4)]
        await asyncio.sleep(0)
        double.go.set()
        assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
        assert double.batches == [[1], [2, 3, 4]]

    asyncio.run(story())


def test_one_bad_item_spoils_no_other() -> None:
    async def story() -> None:
        double = Doubler()
        double.go.set()
        ask = Coalescer(double)
        answers = await asyncio.gather(ask(12), ask(13), ask(14), return_exceptions=True)
        assert [answers[0], answers[2]] == [24, 28]
        assert isinstance(answers[1], ValueError)

    asyncio.run(story())


def test_a_failed_batch_fails_its_own_callers_and_no_later_ones() -> None:
    async def story() -> None:
        double = Doubler()
        double.go.set()
        ask = Coalescer(double)
        answers = await asyncio.gather(ask(98), ask(99), return_exceptions=True)
        assert all(isinstance(answer, OSError) for answer in answers)
        assert await ask(5) == 10

    asyncio.run(story())


def test_batches_have_a_largest_size_and_answers_keep_their_order() -> None:
    async def story() -> None:
        double = Doubler()
        double.go.set()
        ask = Coalescer(double, max_batch=3)
        assert await asyncio.gather(*map(ask, range(8))) == [number * 2 for number in range(8)]
        assert double.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]

    asyncio.run(story())


def test_a_caller_who_went_away_is_not_asked_for_and_disturbs_nobody() -> None:
    async def story() -> None:
        double = Doubler()
        ask = Coalescer(double)
        first = asyncio.ensure_future(ask(1))
        await double.came.wait()
        gone, stays = asyncio.ensure_future(ask(2)), asyncio.ensure_future(ask(3))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        double.go.set()
        assert list(await asyncio.gather(first, stays)) == [2, 6]
        assert double.batches == [[1], [3]]
        with pytest.raises(asyncio.CancelledError):
            await gone

    asyncio.run(story())


@pytest.mark.rule("FL-2")
def test_nobody_waits_for_a_late_batch_longer_than_it_may_and_others_get_their_answers() -> None:
    async def impatient(ask: Coalescer[int, int], item: int) -> int:
        allowed = Allowance()
        allowed.left_seconds = 2 * PATIENCE_SECONDS
        allowance.set(allowed)
        try:
            return await ask(item)
        finally:
            assert allowed.left_seconds <= 0, "it is used up"

    async def story() -> None:
        double = Doubler()
        ask = Coalescer(double)
        first, second = asyncio.create_task(impatient(ask, 1)), asyncio.ensure_future(ask(2))
        await double.came.wait()
        third, fourth = asyncio.create_task(impatient(ask, 3)), asyncio.ensure_future(ask(4))
        for late in (first, third):
            with pytest.raises(Unreachable):
                await late
        assert not second.done()
        double.go.set()
        assert [await second, await fourth] == [4, 8]

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_batch_is_not_bound_by_the_time_of_whoever_came_first() -> None:
    seen: list[Allowance | None] = []

    async def look(items: list[int]) -> list[int]:
        seen.append(allowance.get())
        return items

    async def story() -> None:
        allowance.set(Allowance())
        await Coalescer(look)(1)
        assert allowance.get() is not None

    asyncio.run(story())
    assert seen == [None]
