"""The files of an installation on SQLite: where they are, who may read them, and what happens when one is lost."""

import asyncio
from pathlib import Path

import pytest

from ostiary.app import build, start, stop
from ostiary.db import Misconfigured
from ostiary.keys.models import StoredKey, all_keys
from tests.conftest import settings_for_tests


def begin(data_dir: Path) -> list[StoredKey]:
    """Open an installation as a command does, making it where there is none; answer its signing keys."""

    async def run() -> list[StoredKey]:
        app = build(settings_for_tests(data_dir, None))
        try:
            await start(app)
            return await app.db.read(all_keys)
        finally:
            await stop(app)

    return asyncio.run(run())


@pytest.mark.rule("ST-1")
@pytest.mark.parametrize("name", ["x?y=1", "x#y", "x%41y", "x y"])
def test_the_database_lies_in_the_data_directory_whatever_its_name(tmp_path: Path, name: str) -> None:
    begin(tmp_path / name)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "ostiary.db").stat().st_size > 0


@pytest.mark.rule("ST-1")
def test_a_database_that_was_copied_back_readable_by_all_is_closed_to_others(tmp_path: Path) -> None:
    begin(tmp_path)
    (tmp_path / "ostiary.db").chmod(0o644)
    begin(tmp_path)
    assert (tmp_path / "ostiary.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.rule("SK-2")
def test_a_lost_secret_is_missed_and_not_replaced(tmp_path: Path) -> None:
    begin(tmp_path)
    (tmp_path / "secret.key").unlink()
    with pytest.raises(Misconfigured, match=r"secret\.key is missing"):
        begin(tmp_path)
    assert not (tmp_path / "secret.key").exists()


@pytest.mark.rule("SK-4")
def test_a_command_makes_no_signing_keys(tmp_path: Path) -> None:
    assert begin(tmp_path) == []
