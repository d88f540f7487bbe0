"""One server process: from settings and a socket that listens to a graceful end."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import cast

import structlog
import uvicorn
from fastapi import FastAPI

from ostiary.app import create_app
from ostiary.cli.options import naming
from ostiary.context import App
from ostiary.edge.connections import Connections
from ostiary.settings import Settings

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept: longer than proxies keep theirs (most a minute), or a request that one sends
down a connection which is just being closed here would be lost."""
GRACE_SECONDS = 10
"""How long a server that was told to stop finishes what it accepted."""
KILLED_BY = 128
"""Plus the signal's number: the exit code of a process that a signal has ended."""

log = structlog.get_logger(__name__)


class GracefulServer(uvicorn.Server):
    """Serves until told to leave: then readiness says no, and after a while it takes nothing new and finishes."""

    def __init__(self, application: FastAPI, *, delay_seconds: float) -> None:
        self._app: App = application.state.ostiary
        config = uvicorn.Config(
            application,
            http=Connections(figures=self._app.metrics.connections).make,  # type: ignore[arg-type] # called as the class would be
            ws="none",
            lifespan="off",  # entered by who serves, so that what goes wrong at start is said in one line
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        super().__init__(config)
        self._delay_seconds = delay_seconds
        self.is_leaving = False

    def leave(self, *, at_once: bool = False) -> None:
        """Begin to leave; `at_once` without waiting for balancers to look elsewhere."""
        loop = asyncio.get_running_loop()
        if at_once or not self._delay_seconds:
            self.should_exit = True
        elif not self.is_leaving:
            loop.call_later(self._delay_seconds, setattr, self, "should_exit", True)  # noqa: FBT003 - setattr's
        if not self.is_leaving:
            self.is_leaving = True
            self._app.departure.announce()
            # Who keeps a connection comes back over a new one, which a balancer gives to another.
            close = (b"connection", b"close")
            self.config.encoded_headers = [*self.config.encoded_headers, close]
            self.server_state.default_headers = [*self.server_state.default_headers, close]

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to who serves."""
        yield


def heed_signals(server: GracefulServer) -> None:
    """Leave at the first SIGINT or SIGTERM; end at once at the second: nothing acknowledged is lost by that (FL-1)."""
    loop = asyncio.get_running_loop()

    def told(number: signal.Signals) -> None:
        if server.is_leaving:
            log.warning("stopped_at_once")
            os._exit(KILLED_BY + number)
        server.leave()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told, number)


def run(
    settings: Settings,
    listener: socket.socket,
    *,
    heed: Callable[[GracefulServer], None],
    ready: Callable[[App], Awaitable[None]],
) -> None:
    """Serve until told to leave. `heed` sets up who may tell; `ready` is called once everything is there.

    Raises what `create_app` and its lifespan do.
    """
    with asyncio.Runner(loop_factory=_event_loop) as runner:
        runner.run(_serve(settings, listener, heed=heed, ready=ready))


async def _serve(
    settings: Settings,
    listener: socket.socket,
    *,
    heed: Callable[[GracefulServer], None],
    ready: Callable[[App], Awaitable[None]],
) -> None:
    application = create_app(settings)
    app: App = application.state.ostiary
    server = GracefulServer(application, delay_seconds=settings.shutdown_delay.total_seconds())
    async with naming(app.db), application.router.lifespan_context(application):
        heed(server)  # before anybody hears that it is there and may want it gone
        await ready(app)
        # What was made until now stays: looking through it for garbage again and again would take a tenth of the time.
        gc.collect()
        gc.freeze()
        await server.serve(sockets=[listener])


def _event_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415 - not on every platform

    return cast("asyncio.AbstractEventLoop", uvloop.new_event_loop())
