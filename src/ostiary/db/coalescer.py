"""Many callers, one statement: what arrives while a batch is in flight leaves together; what all ask, one asks."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from ostiary.clock import Clock
from ostiary.db.database import Allowance, Unreachable, allowance

Item = TypeVar("Item")
Result = TypeVar("Result")

_Batch: TypeAlias = list[tuple[Item, asyncio.Future[Result], Allowance | None]]
"""What is asked, where it is answered, and how long the caller may wait."""

PATIENCE_SECONDS = 0.5
"""A batch that hangs with the database holds up all that wait behind it for so long and no longer."""


class Coalescer(Generic[Item, Result]):
    """Answers single items by running a function over lists of them.

    It adds no waiting of its own: a lone item leaves at once, and what arrives meanwhile leaves together when
    the batch before it is back. `run` answers one result for each item, in order; a result that is an exception
    is raised to that item's caller alone, so that one bad item spoils no other. A caller whose time is up
    (`allowance`) gets Unreachable, and the others their answer.
    """

    def __init__(
        self, run: Callable[[list[Item]], Awaitable[Sequence[Result | Exception]]], *, max_batch: int = 64
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._waiting: _Batch[Item, Result] = []
        self._in_flight: set[asyncio.Task[None]] = set()
        self._waited_for: _Batch[Item, Result] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self.batches = 0
        """How many have left."""
        self.items = 0
        """How many items were in them."""
        self._is_leaving = False
        """True from the first item until all that waited has left."""

    def __call__(self, item: Item) -> Awaitable[Result]:
        """Answer one item's result, or raise its exception."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, answer, allowance.get()))
        if not self._is_leaving:
            self._is_leaving = True
            loop.call_soon(self._leave)
        return answer

    def _leave(self) -> None:
        """Send the next batch on its way; the one after it leaves when it is back, or when patience ends."""
        batch = self._next_batch()
        if not batch:
            self._is_leaving = False
            return
        self._waited_for = batch
        self._patience = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._leave_all)
        self._send(batch)

    def _leave_all(self) -> None:
        """Send whatever waits on its way, behind a batch that does not come back."""
        hanging, self._waited_for = self._waited_for, None
        self._watch(hanging or [])
        while batch := self._next_batch():
            self._watch(batch)
            self._send(batch)
        self._is_leaving = False

    def _watch(self, batch: "_Batch[Item, Result]") -> None:
        """Let nobody wait longer than he may. Only batches that are late are watched: the others cost no timers."""
        for _, answer, allowed in batch:
            if allowed is not None:
                left_seconds = allowed.left_seconds - PATIENCE_SECONDS
                asyncio.get_running_loop().call_later(left_seconds, _give_up, answer, allowed)

    def _next_batch(self) -> "_Batch[Item, Result]":
        """Answer the first of those that wait; empty when nobody does."""
        batch: _Batch[Item, Result] = []
        while self._waiting and not batch:
            first, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
            # Nobody waits for the answer to a cancelled item any more: it need not be asked.
            batch = [each for each in first if not each[1].done()]
        return batch

    def _send(self, batch: "_Batch[Item, Result]") -> None:
        self.batches += 1
        self.items += len(batch)
        answering = asyncio.get_running_loop().create_task(self._answer(batch))
        self._in_flight.add(answering)
        answering.add_done_callback(self._in_flight.discard)

    async def _answer(self, batch: "_Batch[Item, Result]") -> None:
        allowance.set(None)  # this task was begun by whoever came first, and is everybody's
        clock = asyncio.get_running_loop().time
        began_at = clock()
        results: Sequence[Result | Exception]
        try:
            results = await self._run([item for item, *_ in batch])
        except Exception as error:  # noqa: BLE001 - handed to every caller of the batch, who each handle it
            results = [error] * len(batch)
        took = clock() - began_at
        for (_, answer, allowed), result in zip(batch, results, strict=True):
            if answer.done():
                continue
            if allowed is not None and took > PATIENCE_SECONDS:
                allowed.left_seconds -= took
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
        if self._waited_for is batch and self._patience is not None:
            self._patience.cancel()
            self._leave()


def _give_up(answer: "asyncio.Future[Any]", allowed: Allowance) -> None:
    if not answer.done():
        allowed.left_seconds = 0.0
        answer.set_exception(Unreachable(reason="no answer within the time of a request"))


class SharedAnswer(Generic[Result]):
    """One answer for all who ask, asked for at most every so often; nobody waits longer for it than `patience_seconds`.

    What hangs is left to give up in its own time.
    """

    def __init__(
        self,
        ask: Callable[[], Coroutine[Any, Any, Result]],
        clock: Clock,
        *,
        every_seconds: float,
        patience_seconds: float,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._every = every_seconds
        self._patience = patience_seconds
        self._asking: asyncio.Task[Result] | None = None
        self._asked_at = float("-inf")

    async def get(self) -> Result | None:
        """Answer what was answered; None where there is no answer in time."""
        now = self._clock.monotonic()
        if self._asking is None or (self._asking.done() and now - self._asked_at >= self._every):
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask())
        asking = self._asking
        if not asking.done():
            await asyncio.wait([asking], timeout=max(0.0, self._asked_at + self._patience - now))
        return asking.result() if asking.done() else None
