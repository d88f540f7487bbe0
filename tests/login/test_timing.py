"""Whether an address has an account cannot be told from how long a failed login takes (LG-2)."""

import asyncio
import gc
import json
import os
import random
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Connection, insert

from ostiary.app import build, start, stop
from ostiary.audit.origin import OPERATOR
from ostiary.credentials.models import set_password
from ostiary.crypto.passwords import StoredPassword
from ostiary.db.types import to_milliseconds
from ostiary.login.places import network_of
from ostiary.login.stages import ACCOUNT_FAILURES, SOURCE_FAILURES, STRANGERS_FAILURES
from ostiary.login.throttle import login_throttles
from ostiary.settings import Settings
from ostiary.users.accounts import add_user, set_active
from tests.conftest import settings_for_tests
from tests.login.planted import PlantedProcess
from tests.login.timing import Comparison, Verdict, judge

PASSWORD = "correct-horse-Battery-9"
DOMAIN = ".".join(["a" * 50] * 4) + ".de"
WIDE_DOMAIN = ".".join([chr(ord("a") + 0xFEE0) * 50] * 4) + ".de"
"""The same domain as some keyboards write it. To read it takes two milliseconds, which must not show either."""

PEOPLE = 24
"""So many that the guesses of one run leave each far from being locked."""
BLOCKED_SOURCE = "198.51.100.7"
BLOCKED_NETWORK = network_of(BLOCKED_SOURCE)
STATES = {"known": "on", "blocked": "on", "slowed": "slow", "locked": "lock", "deactivated": "off"}
"""The accounts that each kind of failure is for, by how their names begin."""

LONGEST_SECONDS = 240.0


async def fill(settings: Settings) -> None:
    """Add the accounts, all with one password: blocked from one source, slowed down for it, or locked.

    Each has a hash of its own: how long the right password takes depends a little on the salt.
    """
    app = build(settings)
    await start(app)
    now = datetime.now(UTC)
    at, later = to_milliseconds(now), to_milliseconds(now + timedelta(minutes=30))  # it has just failed, all along
    blocked = {BLOCKED_NETWORK: {BLOCKED_SOURCE: [at] * SOURCE_FAILURES}}
    many = {f"10.0.{number}.0/24": {f"10.0.{number}.1": [at]} for number in range(ACCOUNT_FAILURES)}
    failures = {"slow": many | {BLOCKED_NETWORK: {BLOCKED_SOURCE: [later]}}, "lock": many}

    def add(connection: Connection, state: str, number: int, password: StoredPassword) -> None:
        name = f"{state}{number}"
        user = add_user(connection, email=f"{name}@{DOMAIN}", username=name, is_superuser=False, now=now)
        set_password(connection, user.id, password, now=now)
        set_active(connection, user.id, is_active=state != "off", origin=OPERATOR, now=now)
        row = {
            "subject": f"user:{user.id}",
            "user_id": user.id,
            "failures": json.dumps(failures.get(state, blocked)),
            "strangers": STRANGERS_FAILURES if state == "lock" else 0,
            "refused": 0,
        }
        connection.execute(insert(login_throttles).values(**row, updated_at=now))

    try:
        for number in range(PEOPLE):
            for state in dict.fromkeys(STATES.values()):
                await app.db.write(add, state, number, await app.hasher.hash(PASSWORD))
    finally:
        await stop(app)


@contextmanager
def failing(directory: Path, *, plant: str, floor: str) -> Iterator[Callable[[str], float]]:
    """Start a server; give a function that fails to log in and answers how many milliseconds that took."""
    settings = settings_for_tests(directory / "data", None)
    asyncio.run(fill(settings))
    environment = {
        "OSTIARY_LOGIN_FAILURE_FLOOR": floor,
        "OSTIARY_RATE_LIMIT": "off",
        "OSTIARY_TRUSTED_PROXIES": "127.0.0.1",
    }
    with PlantedProcess(settings.data_dir, plant, environment=environment) as process:
        address = ("127.0.0.1", int(process.url.rpartition(":")[2]))
        with closing(socket.create_connection(address, timeout=30)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(20):  # what is loaded at first use is loaded now
                fail(connection, "known")
                fail(connection, "unknown")
            gc.collect()
            gc.disable()
            try:
                yield lambda kind: fail(connection, kind)
            finally:
                gc.enable()


def fail(connection: socket.socket, kind: str) -> float:
    """Fail in one of these ways: each guess from an address of its own, a blocked one from where it is blocked.

    Where throttling refuses, the password is the right one. A slowed account refuses the source that has just failed.
    """
    name = f"{STATES[kind]}{random.randrange(PEOPLE)}" if kind in STATES else f"no{random.randrange(10**6)}"
    guess = secrets.token_urlsafe(32)[: len(PASSWORD)]
    source = f"192.0.{random.randrange(256)}.{random.randrange(256)}"
    return timed_failure(
        connection,
        email=f"{name}@{WIDE_DOMAIN}",
        password=guess if kind in {"known", "unknown"} else PASSWORD,
        source=BLOCKED_SOURCE if kind in {"blocked", "slowed"} else source,
    )


def timed_failure(connection: socket.socket, *, email: str, password: str, source: str) -> float:
    """Send one login and time it to the first byte of its answer."""
    body = json.dumps({"email": email, "password": password}).encode()
    head = (
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"X-Forwarded-For: {source}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    started_at = time.perf_counter_ns()
    connection.sendall(head.encode() + body)
    answer = connection.recv(65_536)
    took = time.perf_counter_ns() - started_at
    while not answer.endswith(b"}"):
        answer += connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 401 "), answer
    return took / 1_000_000


def compare(failure: Callable[[str], float], *kinds: str) -> tuple[dict[str, Verdict], str]:
    """Compare how long these kinds of failure take with the first of them, interleaved in random order."""

    def measure_round() -> dict[str, float]:
        took = {kind: failure(kind) for kind in random.sample(kinds, len(kinds))}
        return {kind: took[kind] for kind in kinds}

    comparison = Comparison(measure_round)
    verdicts = comparison.run(within_seconds=LONGEST_SECONDS)
    load = os.getloadavg()[0]
    return verdicts, f"{comparison}\n(load of the machine, which should have nothing else to do: {load:.1f})"


@pytest.mark.alone
@pytest.mark.timeout(420)
@pytest.mark.rule("LG-2")
@pytest.mark.parametrize(
    ("floor", "others"),
    [("0s", ("unknown", "deactivated", "blocked", "slowed", "locked")), ("60ms", ("unknown", "deactivated"))],
)
def test_all_failed_logins_take_equally_long(tmp_path: Path, floor: str, others: tuple[str, ...]) -> None:
    with failing(tmp_path, plant="nothing", floor=floor) as failure:
        verdicts, seen = compare(failure, "known", *others)
    assert verdicts == dict.fromkeys(others, Verdict.EQUAL), seen


@pytest.mark.alone
@pytest.mark.timeout(420)
@pytest.mark.rule("LG-2")
def test_two_milliseconds_more_for_known_addresses_would_be_noticed(tmp_path: Path) -> None:
    with failing(tmp_path, plant="slower for known", floor="0s") as failure:
        verdicts, seen = compare(failure, "known", "unknown")
    assert verdicts == {"unknown": Verdict.DIFFERENT}, seen


@pytest.mark.alone
@pytest.mark.timeout(420)
@pytest.mark.rule("LG-2")
def test_no_failed_login_is_answered_before_the_floor(tmp_path: Path) -> None:
    """A timer that is early by a quarter of a millisecond shows in one of a hundred, so many are tried."""
    with failing(tmp_path, plant="nothing", floor="80ms") as failure:
        for kind in ("known", "unknown", "deactivated", "blocked", "slowed", "locked") * 20:
            assert failure(kind) >= 80


@pytest.mark.rule("LG-2")
@pytest.mark.parametrize(
    ("true_difference", "verdict"),
    [(0.0, Verdict.EQUAL), (0.2, Verdict.EQUAL), (2.0, Verdict.DIFFERENT), (-2.0, Verdict.DIFFERENT)],
)
def test_the_procedure_tells_equal_from_different_in_noise(true_difference: float, verdict: Verdict) -> None:
    """The noise is of the kind that is measured on a machine in use: mostly small, now and then large."""
    noise = Random(1)
    for _ in range(200):
        differences: list[float] = []
        while judge(differences) is Verdict.UNKNOWN:
            assert len(differences) < 2_000
            differences += [
                true_difference + noise.gauss(0, 1.5) + (noise.gauss(0, 20) if noise.random() < 0.1 else 0)
                for _ in range(20)
            ]
        assert judge(differences) is verdict


def test_what_cannot_be_told_is_not_called_equal() -> None:
    noise = Random(1)
    assert judge([]) is Verdict.UNKNOWN
    assert judge([0.0] * 10) is Verdict.UNKNOWN
    assert judge([noise.gauss(0, 30) for _ in range(300)]) is Verdict.UNKNOWN
