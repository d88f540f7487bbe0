"""`ostiary serve`: from an empty directory to a working server, and a graceful end."""

import asyncio
import gc
import json
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, cast

import typer
import uvicorn
from fastapi import FastAPI

from ostiary.app import create_app
from ostiary.cli.options import DatabaseURL, DataDir, naming
from ostiary.cli.readiness import tell_ready
from ostiary.context import App
from ostiary.db import Misconfigured
from ostiary.edge.connections import Connections, raise_open_files
from ostiary.login.signup import offer_setup
from ostiary.logs import configure_logging
from ostiary.settings import Settings
from ostiary.users.accounts import has_users

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept: longer than proxies keep theirs (most a minute), or a request that one sends
down a connection which is just being closed here would be lost."""
GRACE_SECONDS = 10
"""How long a server that was told to stop finishes what it accepted."""

cli = typer.Typer(add_completion=False)


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [OSTIARY_HOST, 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 is any free one. [OSTIARY_PORT, 8000]")] = None,
    data_dir: DataDir = None,
    workers: Annotated[int | None, typer.Option(help="Server processes. [OSTIARY_WORKERS, 1]")] = None,
    database_url: DatabaseURL = None,
) -> None:
    """Serve the API. An empty data directory becomes a working installation."""
    options = {"host": host, "port": port, "data_dir": data_dir, "workers": workers, "database_url": database_url}
    settings = Settings.load(**options)
    configure_logging(settings)
    raise_open_files()
    listener = listen(settings.host, settings.port)
    if settings.port == 0:
        settings = Settings.load(**options | {"port": listener.getsockname()[1]})
    with asyncio.Runner(loop_factory=_event_loop) as runner:
        runner.run(_serve(settings, listener))


def _event_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415 - not on every platform

    return cast("asyncio.AbstractEventLoop", uvloop.new_event_loop())


def listen(host: str, port: int) -> socket.socket:
    """Take the port. Raises Misconfigured, with one line, where that is not possible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise Misconfigured(
            f"cannot listen on {host} port {port}: {error.strerror or error}; "
            "choose another with --port or OSTIARY_PORT, --host or OSTIARY_HOST"
        ) from None
    return listener


async def _serve(settings: Settings, listener: socket.socket) -> None:
    application = create_app(settings)
    connections = Connections(figures=application.state.ostiary.metrics.connections)
    server = _Server(
        uvicorn.Config(
            application,
            http=connections.make,  # type: ignore[arg-type] # called as the class would be
            ws="none",
            lifespan="off",  # entered below, so that what goes wrong at start is said in one line
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
    )
    async with naming(application.state.ostiary.db), application.router.lifespan_context(application):
        await _greet(application)
        # What was made until now stays: looking through it for garbage again and again would take a tenth of the time.
        gc.collect()
        gc.freeze()
        await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Stops on SIGINT and SIGTERM and then returns, so that what was opened is closed again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take both signals while the server runs."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
        for number in signals:
            loop.remove_signal_handler(number)


async def _greet(application: FastAPI) -> None:
    """Say where it listens, and to somebody who has just begun, what to do next."""
    app: App = application.state.ostiary
    base = f"{app.settings.public_url}/api/v1"
    token = await app.db.write(offer_setup, now=app.clock.now())
    lines = [f"Ostiary listens on http://{_shown(app.settings.host)}:{app.settings.port}   data: {app.db.place}"]
    if app.settings.signup == "open" and not await app.db.read(has_users):
        lines += ["", "Try it:", "", *first_steps(base)]
    if token is not None:
        lines += ["", "There is no superuser yet. This makes one (once, within an hour; choose your own password):", ""]
        lines += [setup_line(base, token)]
    if app.settings.api_docs:
        lines += ["", f"API reference: {app.settings.public_url}/docs"]
    print("\n".join(lines), flush=True)  # noqa: T201 - said to whoever started it, not to the log
    tell_ready()


def first_steps(base: str) -> list[str]:
    """Answer three lines to paste: sign up, log in, read the user."""
    credentials = {"email": "user@example.com", "password": "StrongPass123!"}
    signup = credentials | {"username": "username"}
    take = """sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/'"""
    return [
        f"  {_post(f'{base}/users', signup)}",
        f"  TOKEN=$({_post(f'{base}/auth/login', credentials)} | {take})",
        f'  curl -s {base}/users/1 -H "Authorization: Bearer $TOKEN"',
    ]


def setup_line(base: str, token: str) -> str:
    """Answer the line to paste that makes the first superuser."""
    admin = {"token": token, "email": "admin@example.com", "username": "admin", "password": "CHOOSE-YOUR-OWN"}
    return f"  {_post(f'{base}/setup', admin)}"


def _post(url: str, body: dict[str, str]) -> str:
    return f"curl -s {url} -H 'Content-Type: application/json' -d '{json.dumps(body)}'"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
