"""Servers for tests of the HTTP edge, which is the same whatever the database: SQLite only."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeAlias

import pytest

from ostiary.context import App
from ostiary.edge.connections import Limits
from tests.conftest import settings_for_tests
from tests.server import Server

MakeEdge: TypeAlias = Callable[..., Server]


@pytest.fixture
def make_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeEdge]:
    """Starts servers on SQLite of a test's own: `make_edge(rate_limit="on")`."""
    with ExitStack() as stack:

        def make(
            *, change: Callable[[App], None] | None = None, limits: Limits | None = None, **options: Any
        ) -> Server:
            settings = settings_for_tests(tmp_path_factory.mktemp("edge"), None, **options)
            return stack.enter_context(Server(settings, change=change, limits=limits))

        yield make
