"""What tests of the audit log are given."""

import pytest

from tests.audit.places import Log
from tests.conftest import NewDatabase, settings_for_tests


@pytest.fixture(scope="module")
def prepared(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Log:
    log = Log(settings_for_tests(tmp_path_factory.mktemp("log") / "data", new_database()))
    log.prepare()
    return log


@pytest.fixture
def log(prepared: Log) -> Log:
    """An empty log without a server."""
    prepared.clear()
    return Log(prepared.settings)
