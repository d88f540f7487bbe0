"""What tests of the throttle are given."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.conftest import NewDatabase, settings_for_tests
from tests.server import Server

SECRET = "f3b1c9e07a5d4862b9e4d17c60a8f25e"


@pytest.fixture(scope="module")
def guarded(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind a proxy, without request limits. Tests move its clock, but use people of their own."""
    settings = settings_for_tests(tmp_path_factory.mktemp("data"), new_database(), trusted_proxies="127.0.0.1")
    with Server(settings) as running:
        yield running


@pytest.fixture
def outside(guarded: Server) -> Iterator[httpx.Client]:
    """A client of it, who says where he calls from."""
    with guarded.client() as client:
        yield client


@pytest.fixture(scope="module")
def servers(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Two servers on one database, behind a proxy."""
    directory, url = tmp_path_factory.mktemp("data"), new_database()
    settings = settings_for_tests(directory, url, trusted_proxies="127.0.0.1", secret_key=SECRET)
    with Server(settings) as one, Server(settings) as two:
        yield one, two


@pytest.fixture
def clients(servers: tuple[Server, Server]) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """A client of each, who say where they call from."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(server.client()) for server in servers)
        yield first, second
