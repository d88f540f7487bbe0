"""Migrations: what they make, what they keep, and what they refuse."""

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

import ostiary.audit.models
import ostiary.roles.models
import ostiary.transfer.models  # noqa: F401 - a table that only the command line knows
from ostiary.audit.origin import OPERATOR
from ostiary.db import Database, Misconfigured, schema
from ostiary.db.schema import HEAD
from ostiary.db.types import metadata
from ostiary.settings import Settings
from ostiary.users.accounts import delete_user
from tests.conftest import MakeServer, settings_for_tests
from tests.db.opened import on_database
from tests.people import log_in, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import session_of, tokens_in, works
from tests.sessions.beside import rows, write
from tests.sessions.waiting import has_done, wait_until
from tests.upgrades.release import NEXT, become_next, revision, upgrade

REBUILD = """
    with op.batch_alter_table("users", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.alter_column("username", existing_type=sa.String(64), type_=sa.String(80), existing_nullable=False)
        batch.add_column(sa.Column("shown_as", sa.Text(), nullable=True))
"""
FORGET_IDS = """
    with op.batch_alter_table("users") as batch:
        batch.alter_column("email", existing_type=sa.String(254), type_=sa.String(255), existing_nullable=False)
    if op.get_bind().dialect.name != "sqlite":
        raise RuntimeError("only SQLite forgets")
"""
FAIL_LATE = """
    raise RuntimeError("planted")
"""
BREAK_FOREIGN_KEY = """
    op.execute("INSERT INTO passwords (user_id, password_hash, updated_at) VALUES (999, 'x', 0)")
"""

NextRelease: TypeAlias = Callable[..., None]


@pytest.fixture
def next_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> NextRelease:
    """Makes this code the next release: its newest revision, on top of ours, does what the given text says."""

    def become(*bodies: str) -> None:
        become_next(monkeypatch, tmp_path, *bodies)

    return become


def backups(settings: Settings) -> list[Path]:
    return sorted((settings.data_dir / "backups").glob("*"))


def stop(server: Server) -> None:
    server.__exit__()


def everything(settings: Settings) -> dict[str, Any]:
    """All columns and rows that a database holds."""

    def look(connection: Connection) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in inspect(connection).get_table_names():
            columns = [column["name"] for column in inspect(connection).get_columns(name)]
            listed = connection.exec_driver_sql(f'SELECT * FROM "{name}"')
            found[name] = columns, sorted(repr(tuple(row)) for row in listed)
        return found

    return on_database(settings, lambda database: database.read(look))


@pytest.mark.rule("ST-3")
def test_models_and_migrations_agree(settings: Settings) -> None:
    assert upgrade(settings)

    # The counters of requests are asked in text alone, and only PostgreSQL has them.
    options = {"compare_type": True, "include_name": lambda name, *_: name not in {"request_counts", "counting_nodes"}}

    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    async def compare(database: Database) -> list[Any]:
        return await database.read(differences)

    assert on_database(settings, compare) == []
    write(settings, lambda connection: connection.exec_driver_sql("DROP INDEX ix_sessions_expires_at"))
    assert [kind for kind, *_ in on_database(settings, compare)] == ["add_index"]


def test_head_is_what_a_database_ends_at(settings: Settings) -> None:
    assert revision(settings) is None
    assert upgrade(settings)
    assert revision(settings) == schema.HEAD == schema.known_revisions()[0]
    before = everything(settings)
    assert not upgrade(settings)
    assert everything(settings) == before
    assert backups(settings) == []


@pytest.mark.rule("ST-3")
def test_ids_of_the_deleted_are_never_given_out_again(make_server: MakeServer, next_release: NextRelease) -> None:
    before = make_server()
    with before.client() as client:
        given_out = [sign_up(client).id]
        for _ in range(2):
            newest = sign_up(client).id
            write(before.settings, delete_user, newest, origin=OPERATOR, now=before.clock.now())
            given_out.append(newest)
    stop(before)
    next_release(REBUILD)
    after = make_server(like=before)
    with after.client() as client:
        given_out.append(sign_up(client).id)
    assert revision(after.settings) == NEXT
    assert given_out == sorted(set(given_out))


@pytest.mark.rule("ST-3")
def test_ids_stay_spent_when_the_table_is_rebuilt_empty(make_server: MakeServer, next_release: NextRelease) -> None:
    before = make_server()
    with before.client() as client:
        only = sign_up(client).id
    write(before.settings, delete_user, only, origin=OPERATOR, now=before.clock.now())
    stop(before)
    next_release(REBUILD)
    with make_server(like=before).client() as client:
        assert sign_up(client).id > only


@pytest.mark.rule("ST-3")
def test_rebuilding_the_users_table_keeps_what_hangs_on_it(make_server: MakeServer, next_release: NextRelease) -> None:
    before = make_server()
    with before.client() as client:
        people = [signed_in(client) for _ in range(3)]
    stop(before)
    next_release(REBUILD)
    after = make_server(like=before)
    [(shown_as,)] = rows(after.settings, "SELECT shown_as FROM users WHERE id = ?", people[0].id)
    assert shown_as is None
    with after.client() as client:
        for person in people:
            assert works(client, person.access_token)
            log_in(client, person)
            assert refresh(client, person.refresh_token).status_code == 200
    # The copied table is still the one that passwords and sessions refer to.
    write(after.settings, delete_user, people[0].id, origin=OPERATOR, now=after.clock.now())
    assert rows(after.settings, "SELECT 1 FROM sessions WHERE user_id = ?", people[0].id) == []
    assert rows(after.settings, "SELECT 1 FROM passwords WHERE user_id = ?", people[0].id) == []


@pytest.mark.rule("ST-3")
@pytest.mark.parametrize(
    ("last", "said"),
    [
        (FAIL_LATE, "planted"),
        (BREAK_FOREIGN_KEY, "broke a foreign key|fk_passwords_user_id"),
        (FORGET_IDS, "copied users without sqlite_autoincrement|only SQLite forgets"),
    ],
)
def test_failed_upgrade_leaves_everything_as_it_was(
    make_server: MakeServer, next_release: NextRelease, monkeypatch: pytest.MonkeyPatch, last: str, said: str
) -> None:
    before = make_server()
    with before.client() as client:
        person = signed_in(client)
    stop(before)
    kept = everything(before.settings)
    next_release(REBUILD, last)
    with pytest.raises((RuntimeError, DBAPIError), match=said):
        upgrade(before.settings)
    assert everything(before.settings) == kept
    monkeypatch.undo()
    with make_server(like=before).client() as client:
        assert tokens_in(refresh(client, person.refresh_token))


@pytest.mark.rule("ST-3")
def test_newer_database_is_refused_and_left_alone(settings: Settings) -> None:
    upgrade(settings)
    write(settings, lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    write(
        settings,
        lambda connection: connection.exec_driver_sql("UPDATE schema_compatibility SET oldest_server = '9999'"),
    )
    before = everything(settings)
    with pytest.raises(Misconfigured) as refusal:
        upgrade(settings)
    assert "schema version 9999" in str(refusal.value)
    assert str(refusal.value).endswith("made by a newer one: upgrade Ostiary")
    assert "\n" not in str(refusal.value)
    assert everything(settings) == before
    assert backups(settings) == []


@pytest.mark.rule("ST-3")
def test_sqlite_file_is_copied_before_an_upgrade(make_server: MakeServer, next_release: NextRelease) -> None:
    before = make_server()
    if before.settings.database_url is not None:
        return
    with before.client() as client:
        person = signed_in(client)
    unfinished = ("user_count_changes", "mail_outbox", "audit_log WHERE place IS NULL")  # or it goes on meanwhile
    wait_until(lambda: all(rows(before.settings, f"SELECT count(*) FROM {what}") == [(0,)] for what in unfinished))
    wait_until(lambda: has_done(before, "purge"))
    # The server still has the file open, and what it wrote is in the write-ahead log.
    next_release(REBUILD)
    kept = everything(before.settings)
    upgrade(before.settings)
    [copy] = backups(before.settings)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700
    assert copy.name.startswith(f"before-upgrade-from-{HEAD}-")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    restored = settings_for_tests(before.settings.data_dir, f"sqlite:///{copy}")
    assert everything(restored) == kept
    assert rows(restored, "SELECT user_id FROM sessions WHERE id = ?", session_of(person)) == [(person.id,)]
