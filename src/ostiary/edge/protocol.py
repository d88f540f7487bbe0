"""uvicorn's HTTP protocol, with a short way out for answers that are ready.

An ASGI application sends an answer in two messages whose every header the server looks at again. Ours are whole when
they leave the edge, so they may go in one piece. Under another server, or where the short way does not fit, they go in
two messages.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE, HttpToolsProtocol

from ostiary.web.body import EXCHANGE

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Protocol(HttpToolsProtocol):
    """One connection."""

    def _start_asgi_task(self, cycle: "RequestResponseCycle", app: Any) -> None:
        cycle.scope[EXCHANGE] = cycle  # type: ignore[literal-required]
        super()._start_asgi_task(cycle, app)


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
