"""P5, P6 and P8: logins on all cores, reads beside them, and ten times more logins than there is room for."""

import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tools.bench import databases
from tools.bench.hot import USERS, OstiarySide
from tools.bench.load import Client, Load, LoadFailedError, closed, headers
from tools.bench.machine import ROOT, cores, pss_mb
from tools.bench.results import Results
from tools.bench.servers import Ostiary

OVERLOAD = 10
READS_PER_SECOND = 200.0
PROBES_PER_SECOND = 20.0
RECOVERY_LIMIT_SECONDS = 30.0
USUAL = 1.5
"""A login is as usual again when it takes at most this times what it took before."""
P99 = "99"


def measure(results: Results, bars: set[str], *, rounds: int, seconds: float) -> None:
    """Measure what the chosen bars need; overload is measured against the peak of the same run."""
    if not bars & {"P5", "P6", "P8"}:
        return
    with Ostiary(databases.ostiary(USERS), core=None) as server:
        side = OstiarySide.of(server, USERS)
        for turn in range(1, rounds + 1):
            print(f"Logins, round {turn} of {rounds}", flush=True)
            for name, part in ORDER.items():
                if not bars & part.needed_by:
                    continue
                try:
                    part.measure(results, side, seconds=2 * seconds)
                except LoadFailedError as failure:
                    results.fail(name, str(failure))


def capacity(results: Results, side: OstiarySide, *, seconds: float) -> None:
    """Log in as fast as it goes, then verify bare hashes on the same cores, one client's share of them left out."""
    load = closed(side.server.spot, side.logins(), seconds=seconds, core=None, warmup=3.0)
    results.note_load("login.all-cores", load)
    bare = float(_floor("argon2", f"{seconds}"))
    results.note("login.argon2", bare, "/s")
    left = 1 - load.processor_seconds / (cores() * load.seconds)
    results.note("login.argon2-less-client", bare * left, "/s")


def beside(results: Results, side: OstiarySide, *, seconds: float) -> None:
    """Read users at a steady rate while every connection of another client logs in."""
    logins = Client.closed(side.server.spot, side.logins(), seconds=seconds + 2.0)
    time.sleep(2.0)
    reads = Client.open(side.server.spot, _reads(side), rate=READS_PER_SECOND, seconds=seconds - 1.0).result()
    saturating = logins.result("503")  # on a slow machine 32 are more than the queue takes; of the reads none may fail
    results.note("beside-logins.read-p99", reads.latency_ms[P99], "ms")
    results.figures["beside-logins.read-p99"].latency_ms = reads.latency_ms
    results.note_load("beside-logins.login", saturating)


def overload(results: Results, side: OstiarySide, *, seconds: float) -> None:
    """Offer ten times the capacity by the clock; watch goodput, refusals, health and memory, then wait for calm."""
    spot = side.server.spot
    peak = results.median("login.all-cores")
    if peak is None:
        raise LoadFailedError("the peak is not known")
    before = _login_seconds(side)
    memory = pss_mb(side.server.pid)
    logins = Client.open(spot, side.login_requests(), rate=OVERLOAD * peak, seconds=seconds)
    health = ("GET /api/v1/health HTTP/1.1\r\n" + headers(spot), "")
    probes = Client.open(spot, [health], rate=PROBES_PER_SECOND, seconds=seconds)
    most = memory
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        most = max(most, pss_mb(side.server.pid))
        time.sleep(0.25)
    load = logins.result("503")
    recovery = _recovery_seconds(side, USUAL * before)
    refused = load.answers.get("503", {"count": 0, "latency_ms": {}})
    if not refused["count"]:
        raise LoadFailedError("nothing was refused: the load was no overload")
    results.note_load("overload.goodput", load)
    results.note("overload.offered", OVERLOAD * peak, "/s")
    results.note("overload.wrong", load.without_retry_after, "answers")
    results.note("overload.refusal-p99", refused["latency_ms"][P99], "ms")
    results.note("overload.health-p99", _health(probes)[P99], "ms")
    results.note("overload.memory-before", memory, "MB")
    results.note("overload.memory", most, "MB")
    results.note("overload.recovery", recovery, "s")


@dataclass(frozen=True)
class Part:
    """One of the measurements, and the bars that need it."""

    measure: Callable[..., None]
    needed_by: set[str]


ORDER = {
    "logins on all cores": Part(capacity, {"P5", "P8"}),
    "reads beside logins": Part(beside, {"P6"}),
    "overload": Part(overload, {"P8"}),
}


def _health(probes: Client) -> dict[str, float]:
    load: Load = probes.result()
    return load.latency_ms


def _reads(side: OstiarySide) -> list[tuple[str, str]]:
    """Write reads of users all over the table."""
    lines = headers(side.server.spot, f"Authorization: Bearer {side.admin}")
    ids = range(1, side.total, max(1, side.total // 1000))
    return [(f"GET /api/v1/users/{user_id} HTTP/1.1\r\n{lines}", "") for user_id in ids]


def _login_seconds(side: OstiarySide) -> float:
    """Time one login: the middle of five."""
    taken = []
    for email in side.emails[:5]:
        began = time.perf_counter()
        side.server.log_in(email, databases.PASSWORD)
        taken.append(time.perf_counter() - began)
    return sorted(taken)[2]


def _recovery_seconds(side: OstiarySide, usual: float) -> float:
    """Wait until three logins running succeed in the usual time; refusals meanwhile are not usual either."""
    began, good, email = time.perf_counter(), 0, side.emails[-1]
    while time.perf_counter() < began + RECOVERY_LIMIT_SECONDS:
        at = time.perf_counter()
        try:
            side.server.log_in(email, databases.PASSWORD)
        except OSError:
            good = 0
        else:
            good = good + 1 if time.perf_counter() - at <= usual else 0
        if good == 3:  # noqa: PLR2004 - one may be luck
            return time.perf_counter() - began
    return math.inf


def _floor(*arguments: str) -> str:
    command = [sys.executable, "-m", "tools.bench.floors", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
