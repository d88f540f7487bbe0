"""Several server processes on one port, and the process that looks after them.

It makes the installation ready, starts the workers, says so when all of them serve, replaces one that died or hangs,
and stops them. It serves nothing itself. On SIGHUP it reads the settings anew and replaces the workers one by one.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence

import structlog

from ostiary.app import build, start, stop
from ostiary.cli.options import naming
from ostiary.cli.readiness import tell_ready
from ostiary.cli.serving.greeting import greeting
from ostiary.cli.serving.server import GRACE_SECONDS, KILLED_BY
from ostiary.cli.serving.worker import command, send_settings
from ostiary.db import Misconfigured
from ostiary.settings import Settings, SettingsError
from ostiary.upkeep import renew_keys

TICK_SECONDS = 0.1
START_TICKS = 600
"""A minute: how long a worker may take to be ready."""
SILENT_TICKS = 300
"""Half a minute without a word: it hangs. Ticks, not time: who pauses this process pauses the others too."""
SHORTEST_LIFE_TICKS = 100
FIRST_PAUSE_TICKS, LONGEST_PAUSE_TICKS = 5, 300
"""Before a worker that died young is replaced: half a second, twice that each time, at most half a minute."""
LAST_WORDS_SECONDS = 15
"""Beyond the time for what was accepted: for mail in hand, and for writing down what is in memory."""

log = structlog.get_logger(__name__)


class Worker:
    """One worker as its supervisor sees it."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self.listener = listener
        self.control, theirs = socket.socketpair()
        # A group of its own: ^C on a terminal is for the supervisor, which passes it on.
        self.process = subprocess.Popen(  # noqa: S603 - this very program
            command(listener, theirs), pass_fds=(listener.fileno(), theirs.fileno()), process_group=0
        )
        theirs.close()
        send_settings(self.control, settings)
        self.control.settimeout(0)
        self.is_ready = False
        self.cannot = ""
        """Why it cannot start, where it could say so."""
        self.age = self.silence = 0
        self._received = b""

    @property
    def is_alive(self) -> bool:
        """Say whether it still runs."""
        return self.process.poll() is None

    def tick(self) -> None:
        """Hear what it says."""
        self.age += 1
        self.silence += 1
        try:
            received = self.control.recv(65536)
        except OSError:  # nothing yet, or nothing any more, which its end will tell
            return
        if received:
            self.silence = 0
        *lines, self._received = (self._received + received).split(b"\n")
        for message in map(json.loads, lines):
            self.is_ready = self.is_ready or "ready" in message
            self.cannot = message.get("cannot", self.cannot)

    def retire(self) -> None:
        """Let it finish what it accepted, and take nothing more."""
        self.control.close()

    async def ended(self, *, within_seconds: float) -> bool:
        """Wait for its end, and bring it about when it does not come in time; answer whether it came by itself."""
        ticks = int(within_seconds / TICK_SECONDS)
        while self.is_alive and ticks > 0:
            ticks -= 1
            await asyncio.sleep(TICK_SECONDS)
        came = not self.is_alive
        if not came:
            log.error("worker_killed", pid=self.process.pid)
            self.process.kill()
        self.process.wait()
        self.control.close()
        return came


class Supervisor:
    """Looks after the workers, one for each socket, until told to stop."""

    def __init__(self, settings: Settings, listeners: Sequence[socket.socket], load: Callable[[], Settings]) -> None:
        self._settings = settings
        self._listeners = listeners
        self._load = load
        self._workers: list[Worker] = []
        self._leaving: list[Worker] = []
        self._is_stopping = False
        self._wants_new = False

    async def run(self, greet: str) -> bool:
        """Start all, greet, and look after them until told to stop; answer whether all ended as they should.

        Raises Misconfigured when one cannot start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._told, number)
        if not sys.stdin.isatty():  # where it says that the terminal is gone
            loop.add_signal_handler(signal.SIGHUP, setattr, self, "_wants_new", True)  # noqa: FBT003 - setattr's
        keeping: list[asyncio.Task[None]] = []
        try:
            for place in range(len(self._listeners)):
                self._workers.append(self._started(place))
            for worker in self._workers:
                await self._until_ready(worker)
            if not self._is_stopping:
                print(greet, flush=True)  # noqa: T201 - said to whoever started it, not to the log
                tell_ready()
            keeping += [asyncio.create_task(self._keep(place)) for place in range(len(self._workers))]
            while not self._is_stopping:
                if self._wants_new:
                    self._wants_new = False
                    await self._replace_all()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            for task in keeping:
                task.cancel()
            came = await self._stop()
        return came

    def _told(self, number: signal.Signals) -> None:
        """Stop; told a second time, at once."""
        if self._is_stopping:
            for worker in (*self._workers, *self._leaving):
                worker.process.kill()
            os._exit(KILLED_BY + number)
        self._is_stopping = True

    def _started(self, place: int) -> Worker:
        settings = self._settings
        if settings.metrics_port:  # each has its own figures
            settings = settings.model_copy(update={"metrics_port": settings.metrics_port + place})
        worker = Worker(settings, self._listeners[place])
        log.info("worker_started", pid=worker.process.pid, place=place)
        return worker

    async def _until_ready(self, worker: Worker) -> None:
        """Wait until it serves, or until told to stop. Raises Misconfigured when it cannot."""
        while not self._is_stopping:
            is_alive = worker.is_alive
            worker.tick()
            if worker.is_ready:
                return
            if not is_alive or worker.age > START_TICKS:
                what = "was not ready within a minute" if is_alive else "ended before it was ready"
                raise Misconfigured(worker.cannot or f"a worker {what}: see the log")
            await asyncio.sleep(TICK_SECONDS)

    async def _keep(self, place: int) -> None:
        """Replace whoever is in a place when he is dead or hangs."""
        pause = FIRST_PAUSE_TICKS
        while True:
            await asyncio.sleep(TICK_SECONDS)
            worker = self._workers[place]
            worker.tick()
            is_hanging = worker.silence > (SILENT_TICKS if worker.is_ready else START_TICKS)
            if worker.is_alive and not is_hanging:
                continue
            worker.process.kill()
            log.error(
                "worker_hangs" if is_hanging else "worker_died",
                pid=worker.process.pid,
                place=place,
                reason=worker.cannot,
            )
            await worker.ended(within_seconds=1)
            pause = FIRST_PAUSE_TICKS if worker.age > SHORTEST_LIFE_TICKS else min(pause * 2, LONGEST_PAUSE_TICKS)
            await asyncio.sleep(pause * TICK_SECONDS)
            if self._workers[place] is worker:
                self._workers[place] = self._started(place)

    async def _replace_all(self) -> None:
        """Put a new worker in each place, with the settings as they are now; the old one leaves when it serves."""
        before = self._settings
        try:
            fixed = {name: getattr(before, name) for name in ("host", "port", "public_url", "workers")}
            self._settings = self._load().model_copy(update=fixed)
            for place in range(len(self._workers)):
                worker = self._started(place)
                try:
                    await self._until_ready(worker)
                finally:
                    if not worker.is_ready:
                        self._leaving.append(worker)
                        worker.process.kill()
                if worker.is_ready:
                    old, self._workers[place] = self._workers[place], worker
                    self._leaving.append(old)
                    old.retire()
                    await old.ended(within_seconds=GRACE_SECONDS + LAST_WORDS_SECONDS)
                    self._leaving.remove(old)
        except (SettingsError, Misconfigured) as error:
            self._settings = before
            log.error("workers_kept", reason=str(error))  # noqa: TRY400 - one line says it all

    async def _stop(self) -> bool:
        """Stop all; answer whether they ended by themselves. The port is given back when they take nothing any more."""
        delay = self._settings.shutdown_delay.total_seconds()
        all_of_them = (*self._workers, *self._leaving)
        for worker in all_of_them:
            worker.process.terminate()
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.call_later(delay, listener.close)
        within = delay + GRACE_SECONDS + LAST_WORDS_SECONDS
        return all(await asyncio.gather(*(worker.ended(within_seconds=within) for worker in all_of_them)))


async def prepare(settings: Settings) -> str:
    """Make the installation ready, once for all workers; answer what to say when they serve."""
    app = build(settings)
    try:
        async with naming(app.db):
            await start(app)
            await renew_keys(app)
            return await greeting(app)
    finally:
        await stop(app)


def supervise(settings: Settings, listeners: Sequence[socket.socket], load: Callable[[], Settings]) -> bool:
    """Serve with a worker for each socket until told to stop; answer whether all ended as they should."""

    async def run() -> bool:
        greet = await prepare(settings)
        return await Supervisor(settings, listeners, load).run(greet)

    return asyncio.run(run())
