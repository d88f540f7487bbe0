"""What revisions say of themselves is so."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect

from ostiary.db import schema
from ostiary.db.history.revisions import oldest_server, read_oldest_server
from ostiary.db.schema import known_revisions, revisions
from ostiary.settings import Settings
from tests.conftest import settings_for_tests
from tests.db.opened import on_database
from tests.upgrades.declarations import breaks
from tests.upgrades.release import ADDS, become_next, upgrade
from tests.upgrades.test_frozen import ASKED_IN_TEXT

HEAD_OF_A_REVISION = """
import sqlalchemy as sa
from alembic import op
compatible = True
tables = ("users",)
waits = ""
def upgrade():
"""

pytestmark = pytest.mark.any_engine


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty place."""
    made = settings_for_tests(tmp_path / "data", None)
    made.data_dir.mkdir()
    return made


@pytest.mark.parametrize(
    "body",
    [
        "    op.drop_table('users')",
        "    op.drop_column('users', 'email')",
        "    op.alter_column('users', 'email', nullable=False)",
        "    op.rename_table('users', 'people')",
        "    op.execute('UPDATE users SET is_active = NULL')",
        "    op.create_index('x', 'users', ['email'], unique=True)",
        "    op.create_unique_constraint('x', 'users', ['email'])",
        "    op.add_column('users', sa.Column('x', sa.Text(), nullable=False))",
        "    with op.batch_alter_table('users') as batch:\n        batch.drop_column('x')",
    ],
)
def test_a_break_that_is_not_declared_is_found(body: str) -> None:
    assert list(breaks(HEAD_OF_A_REVISION + body))
    assert list(breaks((HEAD_OF_A_REVISION + body).replace("compatible = True", "compatible = False"))) == []


def test_what_only_adds_passes_and_what_declares_nothing_does_not() -> None:
    assert list(breaks(HEAD_OF_A_REVISION + ADDS)) == []
    assert list(breaks("revision = 'x'")) == [
        "does not declare compatible",
        "does not declare tables",
        "does not declare waits",
    ]


def test_revisions_name_the_tables_that_they_change(settings: Settings) -> None:
    before: dict[str, Any] = {}
    for revision in reversed(revisions()):
        upgrade_to(settings, revision.number)
        after = on_database(settings, lambda database: database.read(shape))
        changed = {name for name in after.keys() | before.keys() if after.get(name) != before.get(name)}
        assert changed - {"alembic_version"} == set(revision.tables) - ASKED_IN_TEXT, revision.number
        assert revision.does.endswith("."), revision.number
        before = after


def upgrade_to(settings: Settings, number: str) -> None:
    async def run(database: Any) -> None:
        await database.migrate(lambda connection: schema.run_migrations(connection, number))

    on_database(settings, run)


def shape(connection: Connection) -> dict[str, Any]:
    """Every table as it was made, with its indexes."""
    query = "SELECT tbl_name, group_concat(sql, ';') FROM sqlite_master WHERE tbl_name NOT LIKE 'sqlite_%' GROUP BY 1"
    assert inspect(connection).get_table_names()
    return dict(map(tuple, connection.exec_driver_sql(query)))


@pytest.mark.rule("ST-3")
def test_database_says_how_old_a_server_may_be(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> str | None:
        return on_database(settings, lambda database: database.read(read_oldest_server))

    upgrade(settings)
    breaking = told()
    assert breaking == oldest_server(revisions())
    assert breaking in known_revisions()
    become_next(monkeypatch, tmp_path, ADDS, declares="compatible = True")
    upgrade(settings)
    assert told() == breaking


@pytest.mark.rule("ST-3")
def test_a_break_makes_itself_the_oldest_that_a_server_must_know(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    become_next(monkeypatch, tmp_path, ADDS, declares="compatible = False")
    upgrade(settings)
    assert on_database(settings, lambda database: database.read(read_oldest_server)) == schema.HEAD
