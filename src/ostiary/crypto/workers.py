"""Threads for slow and pure work, behind a queue that never holds more of it than they do in two seconds (PW-5)."""

import asyncio
import math
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar, cast

from ostiary.clock import Clock
from ostiary.problems import Unavailable

LONGEST_WAIT_SECONDS = 2.0
"""What the queue may hold, in time (PW-5)."""

_WEIGHT_OF_LATEST = 0.1
"""In the moving averages of how long work takes: half of it from the last seven pieces."""
_NICENESS = 10
"""Of the threads: enough that the event loop gets a processor at once, and they still get what is left."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Place(Generic[T]):
    """A place in the queue: kept for work to come, or taken by work that waits."""

    lane: "Lane"
    future: "Future[T]" = field(default_factory=Future)
    work: Callable[[], T] | None = None
    asked_at: float = 0.0
    """When its work was known."""


@dataclass(slots=True, eq=False)
class Lane:
    """One kind of work: its places, oldest first, and how long one piece takes."""

    mean_seconds: float
    places: dict[Place[Any], None] = field(default_factory=dict)
    ready: dict[Place[Any], None] = field(default_factory=dict)
    """The places whose work is known."""
    done: int = 0
    seconds_worked: float = 0.0
    seconds_waited: float = 0.0
    refused: int = 0

    def seconds(self, more: int = 0) -> float:
        """Tell how long one thread would need for what has a place here, and for that many pieces more."""
        return (len(self.places) + more) * self.mean_seconds


class Workers:
    """A number of threads of low priority, and one bounded queue with a lane for each kind of work.

    Lanes are timed apart, or else many quick pieces would make room for too many slow ones. They are served in turn.
    One lane may fill the whole queue while the others leave it room; each can always have its equal share, for which
    the latest places of a lane beyond its own are taken back.
    """

    def __init__(self, name: str, *, count: int, lanes: Sequence[Lane], clock: Clock) -> None:
        """Take the threads' name and number, and the lanes, each with a first guess of how long its work takes."""
        self._count = count
        self._lanes = tuple(lanes)
        self._turns = deque(lanes)
        self._clock = clock
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name, initializer=_yield_to_others)
        self._lock = threading.Lock()
        self._busy = 0
        self._closed = False

    @property
    def threads(self) -> int:
        """Answer how many there are."""
        return self._count

    @property
    def waiting(self) -> int:
        """Count the places in the queue, apart from the work being done."""
        return sum(len(lane.places) for lane in self._lanes)

    @contextmanager
    def place(self, lane: Lane) -> Iterator[Place[Any]]:
        """Keep a place for work that is certain to come, so that it will not be refused then.

        Raises Unavailable when there is none.
        """
        place: Place[Any] = Place(lane)
        with self._lock:
            self._admit(lane)
            lane.places[place] = None
        place.future.add_done_callback(lambda _: self._leave(place))
        try:
            yield place
        finally:
            place.future.cancel()  # without effect once the work began

    async def run(self, lane: Lane, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do one piece of work. A caller who is cancelled before it began gives its place back at once.

        Raises Unavailable when there is no place, and whatever the function raises.
        """
        with self.place(lane) as place:
            return await self.run_at(place, function, *args, **kwargs)

    async def run_at(self, place: Place[Any], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do one piece of work at a place kept for it. Raises Unavailable when the place was taken back since."""
        with self._lock:
            if self._closed:
                raise Unavailable(reason="the threads are shut down")
            if place in place.lane.places:
                place.asked_at = self._clock.monotonic()
                place.work = lambda: function(*args, **kwargs)
                place.lane.ready[place] = None
                self._executor.submit(self._work)
        return cast(T, await asyncio.wrap_future(place.future))

    def close(self) -> None:
        """Take no more work; return when what was taken is done."""
        with self._lock:
            self._closed = True
        self._executor.shutdown()

    def _admit(self, lane: Lane) -> None:
        """Raise Unavailable unless a thread is free or the queue has room, or is made to have it. Needs the lock."""
        if self._closed:
            raise Unavailable(reason="the threads are shut down")
        if self._busy + self.waiting < self._count:
            return
        longest = LONGEST_WAIT_SECONDS * self._count
        others = [other for other in self._lanes if other is not lane]
        mine, needed = lane.seconds(1), lane.seconds(1) + sum(other.seconds() for other in others)
        if needed > longest and mine > longest / len(self._lanes):
            lane.refused += 1
            raise _full(self.waiting, needed / self._count)
        while needed > longest:
            largest = max(others, key=Lane.seconds)
            displaced = next(reversed(largest.places))
            self._forget(displaced)
            if displaced.future.set_running_or_notify_cancel():
                largest.refused += 1
                displaced.future.set_exception(_full(self.waiting, needed / self._count))
            needed -= largest.mean_seconds

    def _leave(self, place: Place[Any]) -> None:
        if place.future.cancelled():  # only possible before it began
            with self._lock:
                self._forget(place)

    def _forget(self, place: Place[Any]) -> None:
        place.lane.places.pop(place, None)
        place.lane.ready.pop(place, None)

    def _work(self) -> None:
        """Do the work whose turn it is, if those who asked for it have not all gone away."""
        with self._lock:
            place = self._next()
        if place is None:
            return
        started_at = self._clock.monotonic()
        waited = started_at - place.asked_at
        try:
            result = cast(Callable[[], Any], place.work)()
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            self._finished(place.lane, self._clock.monotonic() - started_at, waited)
            place.future.set_exception(error)
        else:
            self._finished(place.lane, self._clock.monotonic() - started_at, waited)
            place.future.set_result(result)

    def _next(self) -> Place[Any] | None:
        """Take the oldest work of the lane whose turn it is. Needs the lock."""
        for lane in list(self._turns):
            while lane.ready:
                place = next(iter(lane.ready))
                self._forget(place)
                if place.future.set_running_or_notify_cancel():
                    self._turns.remove(lane)
                    self._turns.append(lane)
                    self._busy += 1
                    return place
        return None

    def _finished(self, lane: Lane, seconds: float, waited: float) -> None:
        with self._lock:
            self._busy -= 1
            lane.done += 1
            lane.seconds_worked += seconds
            lane.seconds_waited += waited
            lane.mean_seconds += _WEIGHT_OF_LATEST * (seconds - lane.mean_seconds)


def _full(waiting: int, seconds: float) -> Unavailable:
    return Unavailable(reason=f"{waiting} wait already", retry_after_seconds=math.ceil(seconds))


def _yield_to_others() -> None:
    """Let the calling thread stand back behind the event loop. Only Linux has niceness by thread."""
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox that forbids it; the work is done all the same
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
