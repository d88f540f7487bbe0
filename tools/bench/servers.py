"""The servers that are measured, each a process of its own: Ostiary, PocketBase, and a bare ASGI answer."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tools.bench.load import Spot
from tools.bench.machine import ROOT, SERVER_CORE, pinned

BIN = Path(sys.executable).parent
HOST = "127.0.0.1"
START_SECONDS = 120.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.002

SETTINGS = {
    # Limits stay on, far above the load; the limits of a user are counted for the one that sends it all.
    "OSTIARY_RATE_LIMIT_PER_ADDRESS": "999999999/minute",
    "OSTIARY_RATE_LIMIT_PER_USER": "999999999/hour",
    "OSTIARY_ACCESS_TOKEN_LIFETIME": "60m",
    "OSTIARY_LOG_FORMAT": "json",
}


class Process:
    """A server's process, its log in a file, ready when its health is 200."""

    health = "/"

    def __init__(self, command: list[str], *, log: Path, core: int | None, environment: dict[str, str]) -> None:
        self._command = pinned(command, core)
        self._environment = environment
        self._log = log
        self.spot = Spot(HOST, free_port())
        self.started_in_seconds = 0.0

    def __enter__(self) -> Self:
        command = [word.replace("{port}", str(self.spot.port)) for word in self._command]
        began = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment() | self._environment,
                cwd=ROOT,
            )
        while not self._is_ready():
            if self._process.poll() is not None or time.perf_counter() > began + START_SECONDS:
                self.__exit__(None, None, None)
                raise RuntimeError(f"{self._command} did not start; see {self._log}")
            time.sleep(POLL_SECONDS)
        self.started_in_seconds = time.perf_counter() - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Its process id: taskset becomes the server, it does not start it."""
        return self._process.pid

    def call(self, path: str, body: dict[str, Any] | None = None, *, token: str = "", method: str = "") -> Any:
        """Send one request and answer the JSON of a success; anything else is an error."""
        content = None if body is None else json.dumps(body).encode()
        address = f"http://{self.spot.host}:{self.spot.port}{path}"
        request = urllib.request.Request(address, content, method=method or None)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the same
            return json.load(answer)

    def _is_ready(self) -> bool:
        with suppress(OSError), socket.create_connection((self.spot.host, self.spot.port), timeout=1) as ask:
            ask.sendall(f"GET {self.health} HTTP/1.0\r\nHost: {self.spot.host}\r\n\r\n".encode())
            return re.match(rb"HTTP/1\.[01] 200 ", ask.recv(4096)) is not None
        return False


class Ostiary(Process):
    """`ostiary serve` as people start it, logging each request as JSON to a file."""

    health = "/api/v1/health"

    def __init__(
        self, data_dir: Path, *, database_url: str = "", core: int | None = SERVER_CORE, workers: int = 1
    ) -> None:
        command = [str(BIN / "ostiary"), "serve", "--port", "{port}", "--data-dir", str(data_dir)]
        command += ["--workers", str(workers)] if workers > 1 else []
        command += ["--database-url", database_url] if database_url else []
        log = data_dir / "bench.log"
        log.unlink(missing_ok=True)
        super().__init__(command, log=log, core=core, environment=SETTINGS)

    def log_in(self, email: str, password: str) -> dict[str, str]:
        """Log in and answer the token pair."""
        pair: dict[str, str] = self.call("/api/v1/auth/login", {"email": email, "password": password})
        return pair

    def people(self, count: int, *, token: str) -> list[dict[str, Any]]:
        """Read some users, from all over the table."""
        total = self.call("/api/v1/users?limit=1", token=token)["total"]
        pages = max(1, count // 100)
        found: list[dict[str, Any]] = []
        for page in range(pages):
            skip = page * max(0, total - 101) // pages
            found += self.call(f"/api/v1/users?skip={skip}&limit=100", token=token)["items"]
        return found


class PocketBase(Process):
    """`pocketbase serve` without --dev, as its manual tells for production."""

    health = "/api/health"

    def __init__(self, data_dir: Path, *, core: int | None = SERVER_CORE) -> None:
        command = [str(BIN / "pocketbase"), "serve", "--http", HOST + ":{port}", "--dir", str(data_dir)]
        super().__init__(command, log=data_dir.parent / f"{data_dir.name}.log", core=core, environment={})


class Bare(Process):
    """The floor: one fixed answer from a bare ASGI callable, under uvicorn with the same loop and parser as ours."""

    def __init__(self, *, log: Path, core: int | None = SERVER_CORE) -> None:
        options = ["--http", "httptools", "--loop", "uvloop", "--ws", "none", "--lifespan", "off", "--no-access-log"]
        options += ["--no-server-header", "--no-proxy-headers", "--port", "{port}"]
        command = [sys.executable, "-m", "uvicorn", "tools.bench.floors:answer", *options]
        super().__init__(command, log=log, core=core, environment={})


def environment() -> dict[str, str]:
    """Give the environment of an ordinary shell: no settings of ours, and byte code kept, as installations have it."""
    left_out = {"PYTHONDONTWRITEBYTECODE"}
    return {
        name: value for name, value in os.environ.items() if not name.startswith("OSTIARY_") and name not in left_out
    }


def free_port() -> int:
    """Find a port nobody listens on."""
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
