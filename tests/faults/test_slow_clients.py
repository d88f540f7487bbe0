"""Clients by the thousand that send and read as slowly as they can, while others are served (IN-1)."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import httpx
import pytest

from ostiary.edge.connections import (
    HEADER_TIMEOUT_SECONDS,
    READER_TIMEOUT_SECONDS,
    Limits,
    connections_for,
    open_files,
    raise_open_files,
)
from ostiary.reference.routes import load_assets
from ostiary.web.body import BODY_TIMEOUT_SECONDS
from tests.conftest import settings_for_tests
from tests.faults.figures import Figures, is_long
from tests.faults.intact import SLACK
from tests.faults.memory import resident_bytes
from tests.people import Person, signed_in
from tests.server import NO_TLS, Process, Server

ROOT = Path(__file__).parents[2]
HASTY = {"head": 1.0, "body": 1.5, "reader": 1.5}
REAL = {"head": HEADER_TIMEOUT_SECONDS, "body": BODY_TIMEOUT_SECONDS, "reader": READER_TIMEOUT_SECONDS}
LOOKS_SECONDS = 2.0
"""A limit ends up to two looks late, and somebody new is first seen at the next."""
MOST_BYTES = 400 * 1024 * 1024
"""For six thousand clients, each of which has asked for more than a megabyte."""


class Others:
    """People who are served meanwhile, one request after the other, now and then on a new connection."""

    def __init__(self, url: str, person: Person) -> None:
        self._url = url
        self._person = person
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self.seconds: list[float] = []
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._stopping.is_set():
            with httpx.Client(base_url=f"{self._url}/api/v1", timeout=60, trust_env=False, verify=NO_TLS) as client:
                for path in ("/health", f"/users/{self._person.id}", "/users/me", "/users?limit=5"):
                    self._ask(client, path)

    def _ask(self, client: httpx.Client, path: str) -> None:
        began_at = time.monotonic()
        try:
            status = client.get(path, headers=self._person.auth).status_code
        except httpx.HTTPError as error:
            self.failures.append(f"{path}: {error!r}")
        else:
            self.seconds.append(time.monotonic() - began_at)
            if status != 200:
                self.failures.append(f"{path}: {status}")
        time.sleep(0.02)


@contextmanager
def serving(directory: Path) -> Iterator[tuple[str, int, dict[str, float]]]:
    """A server's URL, its process, and its limits: in the long mode those that all servers have."""
    if is_long():
        environment = {"OSTIARY_RATE_LIMIT": "off", "OSTIARY_LOG_LEVEL": "error"}
        with Process(directory / "data", environment=environment) as process:
            yield process.url, process.pid, REAL
        return
    limits = Limits(
        header_seconds=HASTY["head"], body_seconds=HASTY["body"], reader_seconds=HASTY["reader"], every_seconds=0.25
    )
    with Server(settings_for_tests(directory / "data", None, api_docs="on"), limits=limits) as server:
        yield server.url, os.getpid(), HASTY


@pytest.mark.rule("IN-1")
@pytest.mark.any_engine
@pytest.mark.timeout(600)
def test_slow_clients_by_the_thousand_keep_nobody_from_being_served(tmp_path: Path, figures: Figures) -> None:
    figures.fault = "clients that send headers or bodies, or read, as slowly as they can"
    raise_open_files()
    most = min(2000 if is_long() else 200, (connections_for(open_files()) - 100) // 3)
    path = next(f"/{load_assets().directory}/{name}" for name in load_assets().files if name.endswith("bundle.js"))
    with serving(tmp_path) as (url, pid, limits):
        with httpx.Client(base_url=f"{url}/api/v1", timeout=60, trust_env=False, verify=NO_TLS) as client:
            person = signed_in(client)
        before = resident_bytes(pid)
        with Others(url, person) as others:
            patience = SLACK * (max(limits.values()) + LOOKS_SECONDS)
            crowd = crowd_of(most, url, path, patience)
            most_bytes = before
            while crowd.poll() is None:
                most_bytes = max(most_bytes, resident_bytes(pid))
                time.sleep(0.1)
            result = json.loads(crowd.communicate()[0])
        figures["slow clients"] = 3 * most
        figures["other requests meanwhile"] = len(others.seconds)
        figures.at_most("of them failed", len(others.failures), 0)
        figures["slowest of them, s"] = max(others.seconds)
        for kind, bound in limits.items():
            figures.at_most(f"last {kind} ended after, s", result["slowest"][kind], bound + LOOKS_SECONDS)
        figures["memory more, MiB"] = (most_bytes - before) / 1024**2
        assert set(result["ends"]["head"]) == {"408"}
        assert set(result["ends"]["body"]) == {"408"}
        assert set(result["ends"]["reader"]) <= {"closed", "cut off"}
        assert all(sum(ends.values()) == most for ends in result["ends"].values())
        assert others.failures == []
        assert len(others.seconds) > 5
        assert most_bytes - before < MOST_BYTES
        with Others(url, person) as others:
            time.sleep(0.5)
        assert others.failures == []
        figures["slowest request afterwards, s"] = max(others.seconds)


def crowd_of(count: int, url: str, path: str, seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.faults.crowd", url.rpartition(":")[2], path, str(count), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
