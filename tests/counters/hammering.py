"""Many callers at once, at several servers by turns."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count

import httpx
import pytest

from tests.server import Server

CALLERS = 50

_NUMBERS = count(1)


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a store take its time: machines that run tests stand still for a quarter of a second now and then."""
    monkeypatch.setattr("ostiary.counters.counting.PATIENCE_SECONDS", 20.0)
    monkeypatch.setattr("ostiary.counters.counting.PROMPT_SECONDS", 20.0)


def new_address() -> str:
    """An address that no test has come from before."""
    high, low = divmod(next(_NUMBERS), 250)
    return f"198.18.{high}.{low + 1}"


def hammer(
    servers: Sequence[Server], times: int, address: str, path: str = "/users/1", **headers: str
) -> list[httpx.Response]:
    """Ask the servers by turns, fifty at once."""
    with ExitStack() as stack:
        headers |= {"X-Forwarded-For": address}
        clients = [stack.enter_context(server.client(headers=headers)) for server in servers]
        pool = stack.enter_context(ThreadPoolExecutor(CALLERS))
        return list(pool.map(lambda number: clients[number % len(clients)].get(path), range(times)))


def served(answers: Sequence[httpx.Response]) -> int:
    """How many were let in."""
    return sum(answer.status_code != 429 for answer in answers)


def remaining(answers: Sequence[httpx.Response], policy: str) -> list[int]:
    """What was left after each served answer, the most first."""
    return sorted(
        (
            int(number)
            for answer in answers
            if answer.status_code != 429
            for number in re.findall(rf'"{policy}";r=(\d+);', answer.headers["ratelimit"])
        ),
        reverse=True,
    )
