"""Servers for tests of connections, which know no database: SQLite only."""

from collections.abc import Iterator

import pytest

from tests.conftest import settings_for_tests
from tests.server import Server
from tests.web.conftest import make_edge

__all__ = ["make_edge"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that the tests of a module share, with the limits that servers have."""
    with Server(settings_for_tests(tmp_path_factory.mktemp("edge"), None)) as running:
        yield running
