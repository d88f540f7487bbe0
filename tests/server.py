"""A real HTTP server on a free port: in this process with a fake clock, or as the command in a process of its own."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import uvicorn

from ostiary.app import create_app
from ostiary.context import App
from ostiary.crypto.passwords import PasswordHasher
from ostiary.edge.connections import Connections, Limits
from ostiary.settings import Settings
from tests.clock import FakeClock

START_SECONDS = 60
UPKEEP_SECONDS = 0.25
MAIL_SECONDS = 0.1
QUICK_HASHER = partial(PasswordHasher, memory_kib=64, time_cost=1)
"""Hashing would take much of the time of all tests, and twenty at once would wait longer than a server lets them."""
_BUILDING = threading.Lock()  # some tests build several servers at once
NO_TLS = ssl.create_default_context()
"""For `verify=` of every client: left to itself each would read all certificates of the system, which takes 20 ms."""


class Server:
    """`create_app(settings)` under uvicorn in a thread; its clock stands still until moved."""

    def __init__(
        self,
        settings: Settings,
        *,
        change: Callable[[App], None] | None = None,
        limits: Limits | None = None,
        port: int = 0,
        real_hashing: bool = False,
    ) -> None:
        limits = limits or Limits(parting_seconds=0.05)
        self.settings = settings
        self.clock = FakeClock()
        with _BUILDING, pytest.MonkeyPatch.context() as patch:
            if not real_hashing:
                patch.setattr("ostiary.app.PasswordHasher", QUICK_HASHER)
            self.application = create_app(
                settings, clock=self.clock, upkeep_every_seconds=UPKEEP_SECONDS, mail_every_seconds=MAIL_SECONDS
            )
        self.app: App = self.application.state.ostiary
        if change is not None:
            change(self.app)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                self.application,
                http=Connections(limits, figures=self.app.metrics.connections).make,  # type: ignore[arg-type] # called as the class would be
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
            )
        )
        self._thread = threading.Thread(target=self._uvicorn.run, kwargs={"sockets": [self._listener]}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._uvicorn.started:
            if not self._thread.is_alive():
                self._listener.close()
                pytest.fail("the server did not start; see the captured log")
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._uvicorn.should_exit = True
        self._thread.join(START_SECONDS)
        self._listener.close()
        assert not self._thread.is_alive(), "the server did not stop"

    def client(self, **options: Any) -> httpx.Client:
        """A client of the API, with paths relative to /api/v1."""
        return _client(self.url, options)


class Process:
    """`ostiary serve` as people start it. Stopped by its own process id; `kill` is SIGKILL, `stop` SIGTERM."""

    def __init__(self, data_dir: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self._command = [sys.executable, "-m", "ostiary", "serve", "--port", "0", "--data-dir", str(data_dir)]
        self._command += arguments
        self._environment = clean_environment() | dict(environment or {})
        self.printed = ""
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    @property
    def database_url(self) -> str | None:
        return self._environment.get("OSTIARY_DATABASE_URL")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def launch(self) -> None:
        """Start, and wait for nothing."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment, cwd=os.sep
            )

    def start(self) -> Self:
        """Start, and wait until it says where it listens."""
        self.launch()
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"listens on (http://\S+)", line)
        if found is None:
            self.kill()
            pytest.fail(f"it did not start: {line!r}\n{self.log.read_text()}")
        self.printed, self.url = line, found[1]
        threading.Thread(target=self._collect, daemon=True).start()
        return self

    def _collect(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.printed += line

    def wait(self) -> int:
        """Wait until it ends by itself; answer its exit code."""
        assert self._process is not None
        assert self._process.stdout is not None
        code = self._process.wait(START_SECONDS)
        with closing(self._process.stdout):
            self._process = None
        return code

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def stop(self) -> int:
        return self.end(signal.SIGTERM)

    def end(self, number: signal.Signals) -> int:
        """Send a signal, and wait for the end; answer the exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(30)
        if self._process.stdout is not None:
            with closing(self._process.stdout):
                self._process = None
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def client(self, **options: Any) -> httpx.Client:
        """A client of the API, with paths relative to /api/v1."""
        return _client(self.url, options)


def _client(url: str, options: dict[str, Any]) -> httpx.Client:
    """A client that closes no idle connection as surplus: httpcore may have given it to another thread already.

    See https://github.com/encode/httpcore/issues/1110.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    options = {"verify": NO_TLS} | options
    return httpx.Client(base_url=f"{url}/api/v1", timeout=60, trust_env=False, limits=limits, **options)


def clean_environment() -> dict[str, str]:
    """The environment without any setting of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OSTIARY_")}
