"""What both engines offer, and the one refusal that both can make."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection

from ostiary.db.figures import Figures
from ostiary.db.hot import Lookup, Row
from ostiary.problems import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

REQUEST_LIMIT_SECONDS = 4.0
"""For all that one request asks of the database: many answers, each just in time, would add up (FL-2)."""


class Allowance:
    """How long a request may still wait for the database. What else takes its time, such as a slow body, is free."""

    __slots__ = ("left_seconds",)

    def __init__(self) -> None:
        self.left_seconds = REQUEST_LIMIT_SECONDS


allowance: ContextVar[Allowance | None] = ContextVar("allowance", default=None)
"""Of the request that is being answered here; None elsewhere."""


@asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError when the block takes longer than this, or than the request at hand may still wait."""
    request, clock = allowance.get(), asyncio.get_running_loop().time
    began_at = clock()
    try:
        async with asyncio.timeout(seconds if request is None else min(seconds, request.left_seconds)):
            yield
    finally:
        if request is not None:
            request.left_seconds -= clock() - began_at


class Unreachable(Unavailable):
    """The database does not answer, or not in time. `reason` says in one line what an operator should know."""

    detail = "Service temporarily unavailable"


class Misconfigured(Exception):  # noqa: N818 - said to an operator, in one line
    """The database cannot be used as it is set up; str() is one plain line that says what to change."""


class Database(Protocol):
    """One database. Every call is one transaction."""

    @property
    def engine(self) -> str:
        """`sqlite` or `postgresql`."""

    @property
    def place(self) -> str:
        """Where the data is, for people: a file, or a host and database name. Never holds a password."""

    @property
    def figures(self) -> Figures:
        """How it is used, for metrics."""

    async def read(self, flow: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a flow on a consistent snapshot, read-only. Raises Unreachable, and what the flow raises."""

    async def write(self, flow: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a flow in one transaction; durable when this returns (ST-1).

        A `Problem` from the flow undoes its writes unless its class says `keep_writes`; any other exception
        undoes them always. Raises Unreachable when the outcome could not be made certain.
        """

    async def look_up(self, lookup: Lookup, items: Sequence[Row]) -> list[Row | None]:
        """Answer a hot question for each of the items, at least one, from one snapshot. Raises Unreachable."""

    async def survey(self, flow: Callable[[Connection], T]) -> T:
        """Run a flow that reads everything: one snapshot, however long it takes. Raises Unreachable."""

    async def migrate(self, flow: Callable[[Connection], T]) -> T:
        """Run a flow that changes the schema: one transaction, no time limit, nothing else in its way."""

    def refuse(self, reason: str) -> None:
        """Answer every call from now on with Unreachable: what is stored is no longer as this version knows it."""

    async def close(self) -> None:
        """Finish what is under way and close every connection."""
