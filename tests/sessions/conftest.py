"""A server whose clock tests may move, without a server for each of them."""

from collections.abc import Iterator

import pytest

from tests.conftest import NewDatabase, settings_for_tests
from tests.server import Server


@pytest.fixture(scope="module")
def moving_server(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Shared by the tests of a module, any of which may move its clock on: each makes sessions of its own."""
    settings = settings_for_tests(tmp_path_factory.mktemp("moving"), new_database(), refresh_replay_window="10s")
    with Server(settings) as running:
        yield running
