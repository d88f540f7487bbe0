"""Threads with a bounded queue: real ones, held where a test wants to look."""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from datetime import datetime

import pytest

from ostiary.clock import SystemClock
from ostiary.crypto.workers import Lane, Workers
from ostiary.problems import Unavailable


class SteppingClock:
    """Every reading of a worker's is half a second after the one before, so that work seems to take that long."""

    def __init__(self) -> None:
        self.reading = 0.0

    def monotonic(self) -> float:
        if threading.current_thread() is not threading.main_thread():
            self.reading += 0.5
        return self.reading

    def now(self) -> datetime:
        raise NotImplementedError


class Blocked:
    """One thread, held, and two lanes before it whose pieces take half a second each."""

    def __init__(self) -> None:
        self.left, self.right = Lane(0.5), Lane(0.5)
        self.workers = Workers("blocked", count=1, lanes=(self.left, self.right), clock=SteppingClock())
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.done: list[str] = []

    async def hold(self) -> asyncio.Task[bool]:
        held = asyncio.create_task(self.workers.run(self.left, self._wait))
        await asyncio.to_thread(self.began.wait)
        return held

    async def queue(self, lane: Lane, *names: str) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.workers.run(lane, self.done.append, name)) for name in names]
        await asyncio.sleep(0)
        return tasks

    def _wait(self) -> bool:
        self.began.set()
        return self.go_on.wait(30)


@pytest.fixture
def blocked() -> Iterator[Blocked]:
    blocked = Blocked()
    yield blocked
    blocked.go_on.set()
    blocked.workers.close()


@pytest.mark.rule("PW-5")
def test_the_queue_holds_two_seconds_of_work_and_refuses_the_rest_at_once(blocked: Blocked) -> None:
    async def scenario() -> None:
        held = await blocked.hold()
        waiting = await blocked.queue(blocked.left, "a", "b", "c", "d")
        assert blocked.workers.waiting == 4
        with pytest.raises(Unavailable) as refusal:
            await blocked.workers.run(blocked.left, int)  # would wait for ever: the thread is held
        assert refusal.value.headers == {"Retry-After": "3"}
        blocked.go_on.set()
        await asyncio.gather(held, *waiting)
        assert blocked.workers.waiting == 0
        assert await blocked.workers.run(blocked.left, lambda: "again") == "again"

    asyncio.run(scenario())


@pytest.mark.rule("PW-5")
def test_each_lane_has_its_share_and_turn_however_full_the_other_is(blocked: Blocked) -> None:
    async def scenario() -> None:
        held = await blocked.hold()
        left = await blocked.queue(blocked.left, "l1", "l2", "l3", "l4")
        right = await blocked.queue(blocked.right, "r1", "r2", "r3")
        assert blocked.workers.waiting == 4
        for late in (left[2], left[3]):  # beyond the share of the left, and asked for last
            with pytest.raises(Unavailable):
                await late
        with pytest.raises(Unavailable):
            await right[2]  # beyond the share of the right, and the left has no more than its own
        with pytest.raises(Unavailable):
            await blocked.workers.run(blocked.left, int)
        assert blocked.done == []
        blocked.go_on.set()
        await asyncio.gather(held, *left[:2], *right[:2])
        assert blocked.done == ["r1", "l1", "r2", "l2"]

    asyncio.run(scenario())


@pytest.mark.rule("PW-5")
def test_a_place_kept_counts_and_is_not_refused_later(blocked: Blocked) -> None:
    async def scenario() -> None:
        held = await blocked.hold()
        with blocked.workers.place(blocked.left) as place:
            waiting = await blocked.queue(blocked.left, "a", "b", "c", "d")
            assert blocked.workers.waiting == 4
            with pytest.raises(Unavailable):
                await waiting[3]
            kept = asyncio.create_task(blocked.workers.run_at(place, lambda: "kept"))
            blocked.go_on.set()
            assert await kept == "kept"
        with blocked.workers.place(blocked.left):
            assert blocked.workers.waiting == 1
        assert blocked.workers.waiting == 0
        await asyncio.gather(held, *waiting[:3])

    asyncio.run(scenario())


@pytest.mark.rule("PW-5")
def test_a_place_that_was_taken_back_refuses_its_work(blocked: Blocked) -> None:
    async def scenario() -> None:
        held = await blocked.hold()
        waiting = await blocked.queue(blocked.left, "a", "b", "c")
        with blocked.workers.place(blocked.left) as place:
            waiting += await blocked.queue(blocked.right, "d")
            with pytest.raises(Unavailable):
                await blocked.workers.run_at(place, blocked.done.append, "never")
        blocked.go_on.set()
        await asyncio.gather(held, *waiting)
        assert sorted(blocked.done) == ["a", "b", "c", "d"]

    asyncio.run(scenario())


@pytest.mark.rule("PW-5")
def test_a_caller_who_goes_away_frees_the_place_and_nothing_is_done_for_him(blocked: Blocked) -> None:
    async def scenario() -> None:
        held = await blocked.hold()
        gone = await blocked.queue(blocked.left, "a", "b", "c", "d")
        staying = gone.pop()
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        assert blocked.workers.waiting == 1
        waiting = await blocked.queue(blocked.left, "e", "f", "g")
        assert blocked.workers.waiting == 4
        blocked.go_on.set()
        await asyncio.gather(held, staying, *waiting)
        assert blocked.done == ["d", "e", "f", "g"]

    asyncio.run(scenario())


@pytest.mark.rule("PW-5")
def test_a_caller_who_goes_away_during_the_work_frees_the_thread_when_it_ends(blocked: Blocked) -> None:
    async def scenario() -> None:
        held = await blocked.hold()
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
        blocked.go_on.set()
        assert await blocked.workers.run(blocked.left, lambda: "served") == "served"

    asyncio.run(scenario())


@pytest.mark.rule("PW-5")
def test_the_queue_learns_how_long_work_takes_and_times_lanes_apart(blocked: Blocked) -> None:
    async def scenario() -> None:
        blocked.left.mean_seconds = blocked.right.mean_seconds = 0.01
        for _ in range(50):
            await blocked.workers.run(blocked.left, int)
        assert blocked.left.mean_seconds == pytest.approx(0.5, rel=0.05)
        assert blocked.right.mean_seconds == 0.01
        await blocked.hold()
        with pytest.raises(Unavailable):
            await asyncio.gather(*(blocked.workers.run(blocked.left, int) for _ in range(5)))

    asyncio.run(scenario())


@pytest.mark.rule("PW-5")
def test_as_much_is_done_at_once_as_there_are_threads() -> None:
    lane = Lane(0.01)
    workers = Workers("meeting", count=3, lanes=(lane,), clock=SystemClock())
    meeting = threading.Barrier(3)
    everybody_came = asyncio.run(_gather(workers, lane, meeting, count=6))
    assert everybody_came == [0, 0, 1, 1, 2, 2]
    workers.close()


async def _gather(workers: Workers, lane: Lane, meeting: threading.Barrier, *, count: int) -> list[int]:
    return sorted(await asyncio.gather(*(workers.run(lane, meeting.wait, 30) for _ in range(count))))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has niceness by thread")
def test_the_threads_stand_back_behind_the_event_loop(blocked: Blocked) -> None:
    async def scenario() -> int:
        return await blocked.workers.run(blocked.left, _niceness)

    before = _niceness()
    assert asyncio.run(scenario()) > before
    assert _niceness() == before


def test_where_priorities_cannot_be_changed_the_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def refuse(*arguments: int) -> None:
        tried.extend(arguments)
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    for platform in ("linux", "darwin"):
        monkeypatch.setattr("ostiary.crypto.workers.sys.platform", platform)
        lane = Lane(0.5)
        workers = Workers("refused", count=1, lanes=(lane,), clock=SystemClock())
        tried.clear()
        assert asyncio.run(workers.run(lane, lambda: "done")) == "done"
        assert bool(tried) == (platform == "linux")
        workers.close()


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_work_may_fail_and_the_threads_go_on(blocked: Blocked) -> None:
    async def scenario() -> int:
        with pytest.raises(ZeroDivisionError):
            await blocked.workers.run(blocked.left, divmod, 1, 0)
        return await blocked.workers.run(blocked.left, int, "12", base=8)

    assert asyncio.run(scenario()) == 10


def test_closing_finishes_what_was_taken_and_takes_no_more(blocked: Blocked) -> None:
    async def scenario() -> None:
        held = await blocked.hold()
        with blocked.workers.place(blocked.right) as place:
            waiting = await blocked.queue(blocked.left, "a", "b")
            blocked.go_on.set()
            blocked.workers.close()
            assert await held
            await asyncio.gather(*waiting)
            assert blocked.done == ["a", "b"]
            with pytest.raises(Unavailable):
                await blocked.workers.run(blocked.left, int)
            with pytest.raises(Unavailable):
                await blocked.workers.run_at(place, int)

    asyncio.run(scenario())
