"""One request and its answer on a connection, what a connection waits for, and a short way out for answers.

An ASGI application sends an answer in two messages whose every header the server looks at again. Ours are whole when
they leave the edge, so they may go in one piece. Under another server, or where the short way does not fit, they go in
two messages.
"""

import asyncio
import enum
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

from ostiary.problems import Problem
from ostiary.web.body import EXCHANGE

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent

REFUSAL = "ostiary.refusal"
"""Where a request that cannot be read says in its scope how it is refused; the edge raises it."""


class Stage(enum.Enum):
    """What a connection waits for."""

    NEW = enum.auto()
    """For the first byte."""
    HEAD = enum.auto()
    BODY = enum.auto()
    OURSELVES = enum.auto()
    IDLE = enum.auto()
    """For the next request."""
    READER = enum.auto()
    """For the client to take an answer."""
    LEAVING = enum.auto()
    """For the client to close: it was refused, and may still be writing."""


class Exchange(RequestResponseCycle):
    """One request and its answer."""

    broken: Problem | None = None
    """What is wrong with the body, for whoever reads it."""
    body_bytes = 0

    async def receive(self) -> "ASGIReceiveEvent":
        """Wait for more of the body. Raises what is wrong with it."""
        message = await super().receive()
        if self.broken is not None:
            raise self.broken
        return message


class WayOut:
    """A connection's transport as exchanges use it: what they close is for the protocol to end."""

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = end


def sent_whole(scope: Scope, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes | memoryview) -> bool:
    """Send an answer in one piece, and tell whether that was done; else it is to be sent in two messages.

    The names of headers are in small letters, and one of them is `content-length`.
    """
    cycle: RequestResponseCycle | None = scope.get(EXCHANGE)
    if (
        cycle is None
        or cycle.disconnected
        or cycle.response_started
        or cycle.flow.write_paused
        or not cycle.keep_alive
        or scope["method"] == "HEAD"
    ):
        return False
    parts: list[bytes | memoryview] = [STATUS_LINE[status]]
    for name, value in (*cycle.default_headers, *headers):
        if name == b"connection" or HEADER_VALUE_RE.search(value):
            return False
        parts += (name, b": ", value, b"\r\n")
    parts += (b"\r\n", body)
    cycle.transport.write(b"".join(parts))
    cycle.waiting_for_100_continue = False
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True
