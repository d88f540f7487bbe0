"""Objects that do what the ordinary ones do, in spans."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from sqlalchemy import Connection

from ostiary.context import App
from ostiary.crypto.passwords import PasswordHasher, StoredPassword, Verification
from ostiary.crypto.workers import Place
from ostiary.db import Database
from ostiary.db.coalescer import Coalescer
from ostiary.db.hot import Lookup, Row
from ostiary.tracing.spans import Spans

P = ParamSpec("P")
T = TypeVar("T")


def traced(app: App, spans: Spans) -> App:
    """Answer an App whose database, hashing and batches leave spans in the traces of requests.

    Batches themselves are not traced: each serves many requests at once. What a request waits for one is.
    """

    def batches(name: str, coalescer: object) -> Any:
        return TracedCoalescer(cast("Coalescer[Any, Any]", coalescer), spans, name)

    return replace(
        app,
        db=cast("Database", TracedDatabase(app.db, spans)),
        hasher=cast("PasswordHasher", TracedHasher(app.hasher, spans)),
        callers=batches("callers", app.callers),
        key_callers=batches("api_keys", app.key_callers),
        rotations=batches("refreshes", app.rotations),
        user_reads=batches("users", app.user_reads),
        user_pages=batches("pages", app.user_pages),
    )


class _InPlaceOf:
    """Has everything that the ordinary object has."""

    def __init__(self, ordinary: object, spans: Spans) -> None:
        self._ordinary: Any = ordinary
        self._spans = spans

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ordinary, name)


class TracedDatabase(_InPlaceOf):
    """A database whose reads and writes are spans, each called after its flow."""

    async def read(self, flow: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As the ordinary one."""
        with self._span("read", flow):
            return cast("T", await self._ordinary.read(flow, *args, **kwargs))

    async def write(self, flow: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As the ordinary one."""
        with self._span("write", flow):
            return cast("T", await self._ordinary.write(flow, *args, **kwargs))

    async def look_up(self, lookup: Lookup, items: Sequence[Row]) -> list[Row | None]:
        """As the ordinary one."""
        with self._span("look_up", lookup):
            return cast("list[Row | None]", await self._ordinary.look_up(lookup, items))

    def _span(self, does: str, flow: object) -> AbstractContextManager[None]:
        system: str = self._ordinary.engine
        name = getattr(flow, "__name__", "")
        return self._spans.span_within(f"{does} {name}".rstrip(), {"db.system.name": system})


class TracedHasher(_InPlaceOf):
    """A hasher whose work, with the wait for it, is a span."""

    async def hash(self, password: str) -> StoredPassword:
        """As the ordinary one."""
        with self._spans.span_within("hash password"):
            return cast("StoredPassword", await self._ordinary.hash(password))

    async def verify(
        self, password: str, stored: StoredPassword | None, *, place: Place[Verification] | None = None
    ) -> Verification:
        """As the ordinary one."""
        with self._spans.span_within("verify password"):
            return cast("Verification", await self._ordinary.verify(password, stored, place=place))

    async def judge(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As the ordinary one."""
        with self._spans.span_within("judge password"):
            return cast("T", await self._ordinary.judge(function, *args, **kwargs))


class TracedCoalescer(_InPlaceOf):
    """A coalescer that shows how long each item waited for its answer."""

    def __init__(self, ordinary: Coalescer[Any, Any], spans: Spans, name: str) -> None:
        super().__init__(ordinary, spans)
        self._name = name

    def __call__(self, item: Any) -> Awaitable[Any]:
        """As the ordinary one."""
        return self._waited(self._ordinary(item))

    async def _waited(self, answer: Awaitable[Any]) -> Any:
        with self._spans.span_within(f"batch {self._name}"):
            return await answer
