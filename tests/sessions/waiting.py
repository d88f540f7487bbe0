"""Waiting for what a server does by itself."""

import time
from collections.abc import Callable

from tests.server import Server

WAIT_SECONDS = 60


def wait_until(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def has_done(server: Server, job: str) -> bool:
    """Whether a server has had a whole round of some work in the background."""
    return any(name == job and done.runs["done"] > 0 for name, done in server.app.metrics.jobs.all())
