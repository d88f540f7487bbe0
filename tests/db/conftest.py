"""What tests of the database are given."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ostiary.settings import Settings
from tests.conftest import NewDatabase, engines, settings_for_tests
from tests.parts.postgres import Postgres

POSTGRES_VERSIONS = [name.removeprefix("postgresql-") for name in engines() if name != "sqlite"]


@pytest.fixture
def settings(new_database: NewDatabase, tmp_path: Path) -> Settings:
    """An empty place on each engine."""
    found = settings_for_tests(tmp_path / "data", new_database())
    found.data_dir.mkdir()
    return found


@pytest.fixture
def sqlite_settings(tmp_path: Path) -> Settings:
    """An empty place for what is SQLite's alone."""
    found = settings_for_tests(tmp_path / "data", None)
    found.data_dir.mkdir()
    return found


@pytest.fixture(params=POSTGRES_VERSIONS)
def postgres_url(request: pytest.FixtureRequest, postgres_servers: Callable[[str], Postgres]) -> str:
    """An empty database for what is PostgreSQL's alone."""
    return postgres_servers(request.param).create_database()
