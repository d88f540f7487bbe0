"""Two servers that count together, in PostgreSQL or in a Valkey."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import settings_for_tests
from tests.parts.postgres import Postgres, available
from tests.parts.valkey import Valkey
from tests.server import Server
from tests.sessions.waiting import wait_until

PER_ADDRESS, PER_USER = 40, 25


@dataclass(frozen=True)
class Nodes:
    """Servers, and what they share."""

    servers: list[Server]
    database_url: str
    postgres: Postgres
    valkey: Valkey | None

    @property
    def store(self) -> Postgres | Valkey:
        """Where the counters are."""
        return self.valkey or self.postgres

    @property
    def fallbacks(self) -> list[int]:
        return [server.app.counters.fallbacks for server in self.servers]

    @property
    def are_together(self) -> bool:
        return all(server.app.counters.is_shared for server in self.servers)


@pytest.fixture(scope="module", params=["database", "redis"])
def nodes(
    request: pytest.FixtureRequest,
    postgres_servers: Callable[[str], Postgres],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Nodes]:
    postgres = postgres_servers(list(available())[-1])
    url = postgres.create_database()
    options: dict[str, Any] = {
        "secret_key": secrets.token_hex(32),
        "public_url": "https://accounts.example.com",
        "directory_visibility": "members",
        "mail_limit_per_address": "3/hour",
        "rate_limit": "on",
        "rate_limit_per_address": f"{PER_ADDRESS}/hour",
        "rate_limit_per_user": f"{PER_USER}/hour",
        "rate_limit_store": "auto",
        "trusted_proxies": "127.0.0.1",
    }
    with ExitStack() as stack:
        valkey = stack.enter_context(Valkey(password="s3cret")) if request.param == "redis" else None
        if valkey is not None:
            options["redis_url"] = valkey.url
        servers = [
            stack.enter_context(Server(settings_for_tests(tmp_path_factory.mktemp("node"), url, **options)))
            for _ in range(2)
        ]
        assert [server.app.counters.store_name for server in servers] == [request.param] * 2
        nodes = Nodes(servers, url, postgres, valkey)
        wait_until(lambda: nodes.are_together)
        yield nodes
