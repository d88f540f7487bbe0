"""What tests of the command line are given."""

from pathlib import Path

import pytest

from tests.cli.command import Installation
from tests.conftest import NewDatabase


@pytest.fixture
def place(new_database: NewDatabase, tmp_path: Path) -> Installation:
    """An empty place on the engine."""
    return Installation(tmp_path / "data", new_database())


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    """An empty place for what does not depend on the engine."""
    return Installation(tmp_path / "data")
