"""The port that serves metrics and nothing else, in the same event loop as the API."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import structlog
import uvicorn
from starlette.types import ASGIApp

from ostiary.edge.connections import Connections, Limits
from ostiary.edge.listening import METRICS, listen

GRACE_SECONDS = 1
MOST_CONNECTIONS = 64
"""Those who ask are few; and none of them may take what the API needs."""

log = structlog.get_logger(__name__)


class MetricsPort:
    """Listens from `start` to `stop`."""

    def __init__(self, application: ASGIApp, *, host: str, port: int, may_overlap: bool) -> None:
        """Take where to listen, and whether a predecessor may still be there, about to leave."""
        self._host = host
        self._port = port
        self._may_overlap = may_overlap
        self._server = _Server(
            uvicorn.Config(
                application,
                http=Connections(Limits(connections=MOST_CONNECTIONS)).make,  # type: ignore[arg-type] # called as a class
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._task: asyncio.Task[None] | None = None
        self._listener: socket.socket | None = None

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        return self._port

    def start(self) -> None:
        """Take the port and serve. Raises Misconfigured, with one line, where that is not possible."""
        self._listener = listen(self._host, self._port, purpose=METRICS, is_shared=self._may_overlap)
        self._port = self._listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        log.info("metrics_served", host=self._host, port=self._port)

    async def stop(self) -> None:
        """Answer what was asked, and stop."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
        if self._listener is not None:
            self._listener.close()


class _Server(uvicorn.Server):
    """Leaves signals to the server of the API."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield
