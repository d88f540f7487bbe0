"""One request and its answer on a connection, what a connection waits for, and a short way out for answers.

An ASGI application sends an answer in two messages whose every header the server looks at again. Ours are whole when
they leave the edge, so they may go in one piece. Under another server, or where the short way does not fit, they go in
two messages.
"""

import asyncio
import enum
import socket
import struct
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


_INTERNET = (socket.AF_INET, socket.AF_INET6)
_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # not on every platform
_UNSENT_BYTES = 64 * 1024
_AT_ONCE = struct.pack("ii", 1, 0)


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


def keep_little_unsent(connection: socket.socket | None) -> None:
    """Let the system take no more of an answer than the client is about to get.

    Linux would take megabytes, in memory that is no process's, and who does not read would look as if he had.
    """
    if connection is not None and connection.family in _INTERNET and _NOTSENT_LOWAT is not None:
        connection.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _UNSENT_BYTES)


def cut_off(transport: asyncio.Transport) -> None:
    """Reset a connection: the system would go on for minutes to deliver to a client who does not read."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None and connection.family in _INTERNET:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()


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
