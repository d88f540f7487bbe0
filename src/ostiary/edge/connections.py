"""All connections of a server: how many there may be, and how long each may take for what it does (IN-1).

Once a second every connection is asked what it waits for; one that has waited for the same thing too long is ended. So
a limit ends up to two seconds late, and no request pays for a timer. Seconds are those of the event loop's clock, which
nobody can set (FL-5).
"""

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Any

import structlog
from uvicorn.config import Config
from uvicorn.server import ServerState

from ostiary.edge.exchange import Stage
from ostiary.edge.protocol import Protocol
from ostiary.metrics.figures import ConnectionFigures
from ostiary.web.body import BODY_TIMEOUT_SECONDS

if sys.platform != "win32":  # which counts otherwise
    import resource

log = structlog.get_logger(__name__)

HEADER_TIMEOUT_SECONDS = 10.0
"""From the first byte of a request, or from a connection's beginning, to the end of the headers."""

READER_TIMEOUT_SECONDS = 30.0
LEAST_READ_BYTES = 64 * 1024
"""How much of an answer a client must take in that time, if it does not take all. Few answers are as large."""

MOST_CONNECTIONS = 10_000
"""Each takes about ten kilobytes when idle and a few hundred at worst. Who needs more puts a proxy before it."""

_OPEN_FILES = 65_536
_OTHER_FILES = 192
"""For the database, the log, mail, and connections that are being refused."""

_SCARCE = 0.9
_IDLE_WHILE_SCARCE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many connections, and how long for what."""

    connections: int = field(default_factory=lambda: connections_for(open_files()))
    refused_at_once: int = 64
    """How many more may be told so; beyond that they are cut off."""
    header_seconds: float = HEADER_TIMEOUT_SECONDS
    body_seconds: float = BODY_TIMEOUT_SECONDS
    reader_seconds: float = READER_TIMEOUT_SECONDS
    leaving_seconds: float = 1.0
    parting_seconds: float = 0.25
    """How long a server that stops still takes requests from idle connections: as long as one may be on its way."""
    every_seconds: float = 1.0


class Connections:
    """Makes the protocol of each connection of one server, and ends those that take too long."""

    def __init__(self, limits: Limits | None = None, *, figures: ConnectionFigures | None = None) -> None:
        self._limits = limits or Limits()
        self._figures = figures or ConnectionFigures()
        self._figures.most = self._limits.connections
        self._open: set[Any] = set()
        self._bounds: dict[Stage, float] = {}
        self._is_watching = False

    def make(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Protocol:
        """Make the protocol of a new connection; what uvicorn's `http` wants to be."""
        protocol = Protocol(config, server_state, app_state, _loop, limits=self._limits)
        if not self._is_watching:
            self._is_watching = True
            self._open = self._figures.open = server_state.connections
            self._bounds = {
                Stage.NEW: self._limits.header_seconds,
                Stage.HEAD: self._limits.header_seconds,
                Stage.BODY: self._limits.body_seconds,
                Stage.IDLE: config.timeout_keep_alive,
                Stage.READER: self._limits.reader_seconds,
                Stage.LEAVING: self._limits.leaving_seconds,
            }
            protocol.loop.call_later(self._limits.every_seconds, self._watch, protocol.loop)
        return protocol

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at every connection, and again in a second; where there is none, when the next one comes."""
        now = loop.time()
        is_scarce = len(self._open) > _SCARCE * self._limits.connections
        for connection in list(self._open):
            self._look_at(connection, now, is_scarce=is_scarce)
        self._is_watching = bool(self._open)
        if self._is_watching:
            loop.call_later(self._limits.every_seconds, self._watch, loop)

    def _look_at(self, connection: Protocol, now: float, *, is_scarce: bool) -> None:
        stage = connection.stage
        # Other requests are something new to wait for, but not for who does not take the answers.
        waits_for = (stage, None if stage is Stage.READER else connection.scope)
        seen = connection.seen
        if seen is None or seen[0] is not stage or seen[1] is not waits_for[1]:
            connection.seen, connection.seen_at, connection.seen_unsent = waits_for, now, connection.unsent
            return
        bound = self._bounds.get(stage)
        if bound is None:
            return
        if is_scarce and stage is Stage.IDLE:
            bound = min(bound, _IDLE_WHILE_SCARCE_SECONDS)
        if now - connection.seen_at < bound:
            return
        if stage is Stage.READER:
            if connection.seen_unsent - connection.unsent >= LEAST_READ_BYTES:
                connection.seen_at, connection.seen_unsent = now, connection.unsent
                return
            self._figures.dropped += 1
            client = connection.client
            log.info("reader_dropped", source=client[0] if client else "unix", unsent=connection.unsent)
        connection.time_out(stage)


def open_files() -> int:
    """Answer how many files and sockets this process may have open."""
    if sys.platform == "win32":
        return _OPEN_FILES
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _OPEN_FILES if soft == resource.RLIM_INFINITY else soft


def raise_open_files() -> None:
    """Allow this process as many open files as it may allow itself. What a shell begins with is often 1,024."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections_for(files: int) -> int:
    """Answer how many connections may be open, so that files are left for everything else."""
    return max(1, min(MOST_CONNECTIONS, files - _OTHER_FILES, files * 3 // 4))
