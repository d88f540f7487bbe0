"""Servers for the reference: on SQLite only, since what is described does not depend on the engine."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import TypeAlias

import pytest

from tests.conftest import settings_for_tests
from tests.server import Server

Started: TypeAlias = Callable[..., Server]

# Request limits are on, so that their headers are sent, and so high that nobody meets them.
COUNTED = {"rate_limit": "on", "rate_limit_per_address": "1000000/hour", "rate_limit_per_user": "1000000/hour"}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """Servers that a module's tests share, by their settings: `started(api_docs="off")`."""
    with ExitStack() as stack:

        @cache
        def start(**options: str) -> Server:
            settings = settings_for_tests(tmp_path_factory.mktemp("data"), None, **options)
            return stack.enter_context(Server(settings))

        yield start


@pytest.fixture(scope="module")
def server(started: Started) -> Server:
    return started(**COUNTED)
