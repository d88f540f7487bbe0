"""uvicorn's HTTP protocol, with the limits of IN-1.

What cannot be read as one clear request, or is too long, is answered like any refusal: through the edge, after the
answers to what came before it on the connection, and the connection ends. How a body ends is httptools' judgement,
which is strict (RFC 9112 §6.3); here is refused what it lets pass. Whatever takes too long is for `connections.py`,
which looks at every connection once a second, so that no request pays for a timer.
"""

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ostiary.edge.exchange import REFUSAL, Exchange, Stage, WayOut, cut_off, keep_little_unsent
from ostiary.problems import HeadersTooLarge, MalformedRequest, Problem, RequestTimeout, Unavailable, URITooLong
from ostiary.web.body import EXCHANGE

if TYPE_CHECKING:
    from ostiary.edge.connections import Limits

MAX_URL_BYTES = 8 * 1024
MAX_HEADER_BYTES = 16 * 1024
"""Of all header lines together, their ends included."""

_MAX_HEAD_BYTES = MAX_URL_BYTES + MAX_HEADER_BYTES + 64
"""With a method and a version around the URL."""

_MOST_QUEUED = 64
"""Requests that wait behind one on their connection. Each takes a hundred times the room that its bytes do."""

_MOST_UNREAD_BYTES = 1024 * 1024
"""Of what nobody will read: the rest of a body that was answered early, and whatever follows a refusal."""

_OVERHEAD_OF_A_BYTE = 8
"""A byte in a chunk of its own has five more around it; more than this are extensions, or trailers without end."""

_SHOWN_PATH_BYTES = 256
_HOST, _TRANSFER_ENCODING, _EXPECT = b"host", b"transfer-encoding", b"expect"
_JUDGED = frozenset({_HOST, _TRANSFER_ENCODING, _EXPECT})


class Protocol(HttpToolsProtocol):
    """One connection."""

    cycle: Any
    """The exchange of the newest request whose headers are here; None until there is one."""
    scope: Any
    """Of the newest request that has begun to arrive; None until there is one."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: "Limits",
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._hosts = 0
        self._transfer_encoding: bytes | None = None
        self._unfinished = 0
        """More than 0 while a request has arrived in part: at most the bytes of it that came after its first piece."""
        self._is_measured = False
        self._is_parting = False
        self._is_over = False
        self._is_lingering = False
        self._thrown_away = 0
        # What `connections.py` saw when it last looked.
        self.seen: tuple[Stage, object] | None = None
        self.seen_at = 0.0
        self.seen_unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection, if there is a place for it."""
        super().connection_made(transport)
        keep_little_unsent(transport.get_extra_info("socket"))
        self._way_out = WayOut(transport, self._end)
        too_many = len(self.connections) - self._limits.connections
        if too_many > self._limits.refused_at_once:
            transport.abort()
        elif too_many > 0:
            self.refuse(Unavailable(reason="too many open connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of a connection that is closed."""
        super().connection_lost(exc)
        self._way_out.close = self.transport.close  # no longer ours: nobody holds himself in memory

    @property
    def stage(self) -> Stage:
        """What the connection waits for."""
        exchange: Exchange | None = self.cycle
        if self.unsent:
            stage = Stage.READER
        elif self._is_over:
            stage = Stage.LEAVING if self._is_lingering else Stage.OURSELVES
        elif self.scope is None:
            stage = Stage.NEW
        elif self.flow.read_paused:
            stage = Stage.OURSELVES
        elif exchange is None or exchange.scope is not self.scope:
            stage = Stage.HEAD
        elif exchange.more_body:
            stage = Stage.BODY
        else:
            stage = Stage.IDLE if exchange.response_complete else Stage.OURSELVES
        return stage

    @property
    def unsent(self) -> int:
        """How many bytes of answers the client has not taken, nor the system for it."""
        return self.transport.get_write_buffer_size()

    def data_received(self, data: bytes) -> None:
        """Read what arrived."""
        if self._unfinished or len(data) > MAX_HEADER_BYTES or self._is_over:
            self._read_in_pieces(data)
            return
        self._feed(data)
        exchange: Exchange | None = self.cycle
        if exchange is None or exchange.scope is not self.scope or exchange.more_body:
            self._unfinished = 1

    def _read_in_pieces(self, data: bytes) -> None:
        """Read what is long or goes on, with an eye on how much it becomes: the parser keeps a header until its end."""
        self._is_measured = True
        for start in range(0, len(data), MAX_HEADER_BYTES):
            piece = data[start : start + MAX_HEADER_BYTES]
            if self._is_over:
                self._throw_away(len(piece))
                continue
            before = self.scope
            self._feed(piece)
            exchange: Exchange | None = self.cycle
            if exchange is not None and exchange.scope is self.scope and not exchange.more_body:
                self._unfinished = 0
            elif self.scope is not before:
                self._unfinished = 1
            else:
                self._unfinished += len(piece)
                self._bound()
        self._is_measured = False

    def _bound(self) -> None:
        """Refuse a request that grows without end."""
        exchange: Exchange | None = self.cycle
        if exchange is None or exchange.scope is not self.scope:
            if self._unfinished > _MAX_HEAD_BYTES:
                self.refuse(HeadersTooLarge())
            return
        overhead = self._unfinished - exchange.body_bytes
        if overhead > _MAX_HEAD_BYTES + _OVERHEAD_OF_A_BYTE * exchange.body_bytes:
            self.refuse(MalformedRequest(reason="far more chunks than body"))
        elif exchange.response_complete and exchange.body_bytes > _MOST_UNREAD_BYTES:
            self.transport.close()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self.refuse(cause if isinstance(cause, Problem) else MalformedRequest(reason=f"not HTTP: {error}"))

    def _read_without_upgrade(self, rest: bytes) -> None:
        """Read a request again as if it did not ask for another protocol, which a server may ignore (RFC 9110 §7.8).

        The parser would take it for one without a body, and the body for the next request. Java's own client asks for
        HTTP/2 like this whenever it is not told otherwise.
        """
        method, url, version = self.scope["method"], self.url, self.scope["http_version"]
        if method == "CONNECT":
            self.refuse(MalformedRequest(reason="CONNECT"))
            return
        lines = [b"%s %s HTTP/%s\r\n" % (method.encode(), url, version.encode())]
        lines += [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed(b"".join([*lines, b"\r\n", rest]))

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL. Raises URITooLong."""
        self.url += url
        if len(self.url) > MAX_URL_BYTES:
            raise URITooLong

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which goes nowhere."""
        name = name.lower()
        self.headers.append((name, value))
        if name in _JUDGED:
            if name == _HOST:
                self._hosts += 1
            elif name == _TRANSFER_ENCODING:
                self._transfer_encoding = value
            elif value.lower() == b"100-continue":
                self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        """Begin to answer a request. Raises MalformedRequest and HeadersTooLarge."""
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        if self._hosts != 1 or self._transfer_encoding is not None or version != "1.1" or self._is_measured:
            self._judge_head(version)
        self._hosts = 0
        if parser.should_upgrade():
            return  # the parser stops here; see _read_without_upgrade
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode("ascii") + url.path
        scope["query_string"] = url.query or b""
        previous: Exchange | None = self.cycle
        is_free = previous is None or previous.response_complete
        if not is_free:
            self._make_room()
        keep_alive = version != "1.0" and not self._is_parting and parser.should_keep_alive()
        self.cycle = exchange = self._exchange(keep_alive=keep_alive)
        self.headers = []  # trailers must not become headers (RFC 9112 §7.1.2)
        if is_free:
            self._start_asgi_task(exchange, self.app)
        else:
            self._queue(exchange)

    def _judge_head(self, version: str) -> None:
        """Refuse a head that two readers may read in two ways (RFC 9112 §3.2, §6.1), and one that is too large."""
        hosts, transfer_encoding = self._hosts, self._transfer_encoding
        self._transfer_encoding = None
        if hosts != 1 and (hosts or version == "1.1"):
            raise MalformedRequest(reason=f"{hosts} Host headers")
        if version not in {"1.1", "1.0"}:
            raise MalformedRequest(reason=f"HTTP/{version}")
        if transfer_encoding is not None:
            is_chunked = transfer_encoding.strip(b" \t").lower() == b"chunked"
            if version != "1.1" or not is_chunked:
                raise MalformedRequest(reason="a Transfer-Encoding other than chunked, or in HTTP/1.0")
        if self._is_measured and sum(len(n) + len(v) + 4 for n, v in self.headers) > MAX_HEADER_BYTES:
            raise HeadersTooLarge

    def _make_room(self) -> None:
        """Stop reading before too many requests wait; the client sends again what was not answered (RFC 9112 §9.3)."""
        if len(self.pipeline) >= _MOST_QUEUED:
            self.cycle.keep_alive = False
            self._is_over = True
            raise MalformedRequest(reason="too many requests in one go")

    def _exchange(self, *, keep_alive: bool) -> Exchange:
        exchange = Exchange(
            scope=self.scope,
            transport=self._way_out,  # type: ignore[arg-type] # it needs no more of one
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        self.scope[EXCHANGE] = exchange
        return exchange

    def _queue(self, exchange: Exchange) -> None:
        """Let a request wait until what came before it is answered, and read no more meanwhile."""
        self.flow.pause_reading()
        self.pipeline.appendleft((exchange, self.app))

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        exchange = self.cycle
        exchange.body_bytes += len(body)
        if exchange.response_complete:
            return
        exchange.body += body
        if len(exchange.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        exchange.message_event.set()

    def on_message_complete(self) -> None:
        """Note that all of a request is here."""
        exchange: Exchange | None = self.cycle
        if exchange is not None and exchange.scope is self.scope:
            exchange.more_body = False
            exchange.message_event.set()

    def on_response_complete(self) -> None:
        """Go on with what waits behind an answer that was given."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def refuse(self, problem: Problem) -> None:
        """Read no further: answer with a refusal in its turn, and end the connection."""
        if self._is_over:
            return
        self._is_over = True
        previous: Exchange | None = self.cycle
        if previous is not None and previous.scope is self.scope:
            if previous.more_body:
                self._break_off(previous, problem)
                return
            self.on_message_begin()
        elif self.scope is None:
            self.on_message_begin()
        path = self.url.partition(b"?")[0][:_SHOWN_PATH_BYTES]
        self.scope |= {
            "method": self.parser.get_method().decode("ascii") if path else "",
            "path": path.decode("latin-1"),
            "raw_path": path,
            "query_string": b"",
            REFUSAL: problem,
        }
        self.cycle = self._exchange(keep_alive=False)
        self.cycle.more_body = False
        if previous is None or previous.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self._queue(self.cycle)

    def _break_off(self, exchange: Exchange, problem: Problem) -> None:
        """Refuse a body that is on its way to whoever reads it."""
        exchange.keep_alive = False
        if exchange.response_complete:
            self.transport.close()
            return
        exchange.broken = problem
        exchange.message_event.set()

    def _end(self) -> None:
        """End the connection, as an exchange asks that was the last.

        To close a connection with unread bytes resets it, and the answer would be lost (RFC 9112 §9.6). So, if more may
        be coming, the client is given a moment to stop writing and to read.
        """
        if self.transport.is_closing():
            return
        if not (self._is_over or self.cycle.more_body) or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._is_over = self._is_lingering = True
        self.transport.write_eof()
        self.flow.resume_reading()

    def _throw_away(self, count: int) -> None:
        self._thrown_away += count
        if self._thrown_away > _MOST_UNREAD_BYTES:
            self.transport.close()

    def time_out(self, stage: Stage) -> None:
        """End what has taken too long; the client is told, if it has asked anything."""
        if stage is Stage.HEAD:
            self.refuse(RequestTimeout("Request headers did not arrive in time"))
        elif stage is Stage.BODY:
            self.refuse(RequestTimeout())
        elif stage in {Stage.READER, Stage.LEAVING}:
            cut_off(self.transport)
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """Prepare for the end: what is being answered is the last, and a request that is under way still gets in."""
        self._is_parting = True
        exchange: Exchange | None = self.cycle
        if exchange is None or exchange.response_complete:
            self.loop.call_later(self._limits.parting_seconds, self._part)
        else:
            exchange.keep_alive = False

    def _part(self) -> None:
        if self.transport.is_closing():
            return
        stage = self.stage
        if stage is Stage.HEAD:
            self.refuse(Unavailable(reason="the server is stopping"))
        elif stage in {Stage.NEW, Stage.IDLE, Stage.BODY}:
            self.transport.close()
