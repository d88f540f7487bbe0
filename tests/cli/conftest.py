"""What tests of the command line are given."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Installation
from tests.conftest import NewDatabase
from tests.parts.postgres import Postgres, available


@pytest.fixture
def place(new_database: NewDatabase, tmp_path: Path) -> Installation:
    """An empty place on the engine."""
    return Installation(tmp_path / "data", new_database())


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    """An empty place for what does not depend on the engine."""
    return Installation(tmp_path / "data")


@pytest.fixture
def new_postgres(postgres_servers: Callable[[str], Postgres]) -> Callable[[], str]:
    """Makes empty databases."""
    return postgres_servers(list(available())[-1]).create_database
