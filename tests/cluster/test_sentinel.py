"""Request limits in a Valkey that Sentinels watch: its primary is killed, the limits hold, and hold together again."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import settings_for_tests
from tests.counters.conftest import PER_ADDRESS
from tests.counters.hammering import be_patient, hammer, new_address, served
from tests.faults.figures import Figures
from tests.parts.postgres import Postgres, available
from tests.parts.sentinels import Sentinels
from tests.server import Server
from tests.sessions.waiting import wait_until

RECOVERY_SECONDS = 30.0
SLACK = 5


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    with Sentinels() as running:
        yield running


@pytest.fixture
def servers(
    sentinels: Sentinels, postgres_servers: Callable[[str], Postgres], tmp_path: Path
) -> Iterator[list[Server]]:
    url = postgres_servers(list(available())[-1]).create_database()
    options = {
        "secret_key": "b1946ac92492d2347c6235b4d2611184",
        "public_url": "http://localhost:8000",
        "rate_limit": "on",
        "rate_limit_per_address": f"{PER_ADDRESS}/hour",
        "rate_limit_store": "auto",
        "redis_url": sentinels.url,
        "trusted_proxies": "127.0.0.1",
    }
    with ExitStack() as stack:
        yield [stack.enter_context(Server(settings_for_tests(tmp_path / name, url, **options))) for name in ("a", "b")]


@pytest.mark.timeout(400)
@pytest.mark.rule("RL-3")
def test_limits_hold_while_another_valkey_becomes_primary(
    sentinels: Sentinels, servers: list[Server], figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures.fault = "the Valkey that counts requests is killed, and Sentinels make its replica primary"

    def are_together() -> bool:
        return all(server.app.counters.is_shared for server in servers)

    def serve_exactly_the_limit() -> bool:
        with monkeypatch.context() as patch:
            be_patient(patch)
            return served(hammer(servers, 3 * PER_ADDRESS, new_address())) == PER_ADDRESS

    wait_until(are_together)
    assert serve_exactly_the_limit()
    sentinels.kill_primary()
    killed_at = time.monotonic()
    for server in servers:
        assert served(hammer([server], PER_ADDRESS + 10, new_address())) == PER_ADDRESS
    sentinels.wait_until(are_together, "servers that count together", SLACK * RECOVERY_SECONDS)
    figures.at_most("counted together again, s", time.monotonic() - killed_at, RECOVERY_SECONDS)
    assert serve_exactly_the_limit()
    assert sentinels.keys() > 0
