"""What tests of the throttle are given."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import NewDatabase, settings_for_tests
from tests.login.inside import cheap_hashing
from tests.server import Server


@pytest.fixture(scope="module")
def guarded(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind a proxy, without request limits. Tests move its clock, but use people of their own."""
    settings = settings_for_tests(tmp_path_factory.mktemp("data"), new_database(), trusted_proxies="127.0.0.1")
    with Server(settings, change=cheap_hashing) as running:
        yield running


@pytest.fixture
def outside(guarded: Server) -> Iterator[httpx.Client]:
    """A client of it, who says where he calls from."""
    with guarded.client() as client:
        yield client
