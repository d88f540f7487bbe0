"""A worker: one of several server processes, as `workers.py` starts it.

It gets its settings over a socket, which stays open: there it says that it is ready and, every second, that it lives,
or in one line why it cannot start. When the other end is closed, the worker leaves: its supervisor wants it to, or is
dead.
"""

import asyncio
import json
import pickle
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from ostiary.cli.failures import explain
from ostiary.cli.serving.server import GracefulServer, run
from ostiary.context import App
from ostiary.logs import configure_logging
from ostiary.settings import Settings

BEAT_SECONDS = 1.0
LENGTH_BYTES = 4

START = "import json, sys; sys.path[:] = json.loads(sys.argv[3]); from ostiary.cli.serving.worker import main; main()"
"""What the interpreter is given: it finds modules where its supervisor does, whatever directory it is in."""


def command(listener: socket.socket, control: socket.socket) -> list[str]:
    """Answer what to run for a worker; it inherits both sockets."""
    return [sys.executable, "-P", "-c", START, str(listener.fileno()), str(control.fileno()), json.dumps(sys.path)]


def send_settings(control: socket.socket, settings: Settings) -> None:
    """Give a worker its settings: not on its command line, which others see."""
    packed = pickle.dumps(settings)
    control.sendall(len(packed).to_bytes(LENGTH_BYTES, "big") + packed)


def main() -> None:
    """Be a worker until told to leave."""
    listener, control = (socket.socket(fileno=int(argument)) for argument in sys.argv[1:3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever pressed ^C meant the supervisor, which passes it on
    with control.makefile("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "big")
        settings: Settings = pickle.loads(file.read(length))  # noqa: S301 - from the process that started this one
    configure_logging(settings)
    beating: list[asyncio.Task[None]] = []

    async def ready(_: App) -> None:
        _tell(control, {"ready": True})
        beating.append(asyncio.create_task(_beat(control)))

    try:
        run(settings, listener, heed=lambda server: _heed(server, control), ready=ready)
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        _tell(control, {"cannot": failure.line})
        sys.exit(failure.exit_code)


def _heed(server: GracefulServer, control: socket.socket) -> None:
    """Leave when told to; told twice, as when all processes of a service are stopped, it does no more than once."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.leave)
    control.settimeout(0)

    def heard() -> None:
        with suppress(BlockingIOError, InterruptedError):
            if not _is_closed(control):
                return
            loop.remove_reader(control)
            server.leave(at_once=True)

    loop.add_reader(control, heard)


def _is_closed(control: socket.socket) -> bool:
    try:
        return not control.recv(1)
    except ConnectionError:  # the other end was closed before it had read everything
        return True


async def _beat(control: socket.socket) -> None:
    while True:
        _tell(control, {})
        await asyncio.sleep(BEAT_SECONDS)


def _tell(control: socket.socket, message: dict[str, Any]) -> None:
    with suppress(OSError):  # the supervisor is dead or has no time: it is not for a worker to mind
        control.send(json.dumps(message).encode() + b"\n")
