"""Three servers on a PostgreSQL of two nodes, of which the primary goes away: as `docs/high-availability.md` has it."""

import itertools
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.figures import Figures
from tests.ledger import Ledger
from tests.parts.cluster import Cluster
from tests.server import Process

ANSWER_SECONDS = 5.0
RECOVERY_SECONDS = 30.0
SLACK = 5

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running


@pytest.fixture
def servers(cluster: Cluster, tmp_path: Path) -> Iterator[list[Process]]:
    """Three servers with one secret: through HAProxy, through pgbouncer before it, and with a list of hosts."""
    ways = {
        "haproxy": {"OSTIARY_DATABASE_URL": cluster.url},
        "pgbouncer": {"OSTIARY_DATABASE_URL": cluster.pooled_url, "OSTIARY_DATABASE_STATEMENT_CACHE": "off"},
        "hosts": {"OSTIARY_DATABASE_URL": cluster.direct_url},
    }
    common = {
        "OSTIARY_SECRET_KEY": secrets.token_urlsafe(32),
        "OSTIARY_PUBLIC_URL": "http://localhost:8000",
        "OSTIARY_RATE_LIMIT": "off",
    }
    with ExitStack() as stack:
        yield [stack.enter_context(Process(tmp_path / name, environment=common | way)) for name, way in ways.items()]


@pytest.mark.rule("FL-1", "FL-2")
def test_nothing_acknowledged_is_lost_when_the_primary_is(
    cluster: Cluster, servers: list[Process], figures: Figures
) -> None:
    figures.fault = "the primary of a replicated PostgreSQL is killed with its Patroni, under load"
    ways = itertools.cycle([server.url for server in servers])
    ledger = Ledger(lambda: next(ways), people=3, seed=11, pause_seconds=0.1)
    pooled, switched, killed = [], [], []
    dead: str | None = None
    for _ in figures.times(1, long=3):
        if dead:
            cluster.start_node(dead)
        cluster.wait_for_standby()
        with ledger:
            ledger.go_on()
            cluster.restart_pooler()
            pooled.append(ledger.go_on())
            cluster.switch_over()
            switched.append(ledger.go_on())
            cluster.wait_for_standby()
            ledger.go_on()
            dead = cluster.kill_primary()
            killed.append(ledger.go_on(within_seconds=SLACK * RECOVERY_SECONDS))
        assert ledger.check().is_clean, str(ledger.found)
    figures["writes again after pgbouncer was killed, s"] = max(pooled)
    figures["writes again after a switchover, s"] = max(switched)
    figures.at_most("writes again after the primary was killed, s", max(killed), RECOVERY_SECONDS)
    slowest = max(act.seconds for act in ledger.acts)
    figures.at_most("slowest answer, s", slowest, ANSWER_SECONDS)
    found = ledger.found
    figures["acts acknowledged"] = found.acts
    figures["answers 503"] = found.server_errors[503]
    assert slowest < SLACK * ANSWER_SECONDS
    assert set(found.server_errors) <= {503}
    assert not found.unanswered
    for server in servers:
        assert "unhandled_error" not in server.log.read_text()
