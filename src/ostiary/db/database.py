"""What both engines offer, and the one refusal that both can make."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from math import inf
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection

from ostiary.db.figures import Figures
from ostiary.db.hot import Lookup, Row
from ostiary.problems import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

REQUEST_LIMIT_SECONDS = 4.25
"""For all that one request asks of the database: many answers, each just in time, would add up (FL-2)."""

waits_until: ContextVar[float] = ContextVar("waits_until", default=inf)
"""By the event loop's clock: until then whoever is at work here may wait for the database."""


def limit_waiting() -> None:
    """Begin the time that the request at hand may wait for the database."""
    waits_until.set(asyncio.get_running_loop().time() + REQUEST_LIMIT_SECONDS)


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
