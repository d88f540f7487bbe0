"""Many callers, one statement: collects what arrives while the previous batch is in flight."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE_SECONDS = 0.5
"""A batch that hangs with the database holds up all that wait behind it for so long and no longer."""


class Coalescer(Generic[Item, Result]):
    """Answers single items by running a function over lists of them.

    It adds no waiting of its own: a lone item leaves at once, and what arrives meanwhile leaves together when
    the batch before it is back. `run` answers one result for each item, in order; a result that is an exception
    is raised to that item's caller alone, so that one bad item spoils no other.
    """

    def __init__(
        self, run: Callable[[list[Item]], Awaitable[Sequence[Result | Exception]]], *, max_batch: int = 64
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._answering: set[asyncio.Task[None]] = set()
        self._worker: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """Answer one item's result, or raise its exception."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        patience = True
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
                # Nobody waits for the answer to a cancelled item any more: it need not be asked.
                batch = [(item, answer) for item, answer in batch if not answer.done()]
                if batch:
                    answering = asyncio.create_task(self._answer(batch))
                    self._answering.add(answering)
                    answering.add_done_callback(self._answering.discard)
                    if patience:
                        done, _ = await asyncio.wait([answering], timeout=PATIENCE_SECONDS)
                        patience = bool(done)
        finally:
            self._worker = None

    async def _answer(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        results: Sequence[Result | Exception]
        try:
            results = await self._run([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - handed to every caller of the batch, who each handle it
            results = [error] * len(batch)
        for (_, answer), result in zip(batch, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
