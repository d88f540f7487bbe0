"""P7, and what an answer costs as the table grows."""

import http.client
import time

from tools.bench import databases
from tools.bench.hot import PAGE, Measure, OstiarySide
from tools.bench.quantiles import latency_ms
from tools.bench.results import Results
from tools.bench.servers import Ostiary

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
PAIRS = 500


def depth(results: Results, *, users: int, rounds: int) -> None:
    """Read the first page and one at the far end by turns, one at a time, so that both see the same moments."""
    place = databases.ostiary(users)
    total, _ = databases.rows(place)
    with Ostiary(place) as server:
        token = server.log_in(databases.ADMIN, databases.PASSWORD)["access_token"]
        seen = server.call(f"/api/v1/users?limit={PAGE}", token=token)["total"]
        results.note("large.users", total, "users")
        results.note("large.total-off", abs(seen - total), "users")
        for _ in range(rounds):
            taken = _by_turns(server, token, (0, total - PAGE))
            for name, skip in (("first", 0), ("deep", total - PAGE)):
                latencies = latency_ms(taken[skip])
                results.note(f"large.{name}-p50", latencies["50"], "ms")
                results.figures[f"large.{name}-p50"].latency_ms = latencies


def _by_turns(server: Ostiary, token: str, skips: tuple[int, int]) -> dict[int, list[float]]:
    """Time many pages at each place."""
    connection = http.client.HTTPConnection(server.spot.host, server.spot.port)
    taken: dict[int, list[float]] = {skip: [] for skip in skips}
    for number in range(PAIRS + 10):
        for skip in skips:
            began = time.perf_counter()
            path = f"/api/v1/users?skip={skip}&limit={PAGE}"
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            content = answer.read()
            if number >= 10:  # noqa: PLR2004 - the first few warm both up
                taken[skip].append(time.perf_counter() - began)
            if answer.status != 200 or content.count(b'"username":') != PAGE:  # noqa: PLR2004
                raise RuntimeError(f"skip={skip} answers {answer.status} {content[:200]!r}")
    connection.close()
    return taken


def growth(results: Results, *, most: int, seconds: float) -> None:
    """Measure P1, P3, P4 and login at every size, on one core as the hot endpoints are."""
    for users in SIZES:
        if users > most:
            break
        with Ostiary(databases.ostiary(users)) as server:
            side = OstiarySide.of(server, users)
            ways: dict[str, Measure] = {
                "read": side.read,
                "list": side.page,
                "refresh": side.refresh,
                "login": side.login,
            }
            for way, run in ways.items():
                load = run(seconds, 1)
                kept = {name: load.latency_ms[name] for name in ("50", "99")}
                results.sizes.append({"users": users, "endpoint": way, "rate": load.rate, "latency_ms": kept})
                print(f"  {users:>10,} users {way:10} {load.rate:12,.1f} /s", flush=True)
