"""Bringing a database to the schema that this version needs, and saying where it stands."""

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, func, insert, inspect, select, table, text, update

from ostiary.db.database import Database, Misconfigured
from ostiary.db.sqlite import SQLiteDatabase

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"
"""The newest revision under `migrations/versions`, written here so that a start need not load Alembic."""

_version = table("alembic_version", column("version_num"))
_sequences = table("sqlite_sequence", column("name"), column("seq"))

TRIES = 5


def current_revision(connection: Connection) -> str | None:
    """Answer the revision a database is at; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(select(_version.c.version_num)).scalar()


def check_durability(connection: Connection) -> None:
    """Refuse a PostgreSQL that says something is kept before it is (ST-1). Raises Misconfigured.

    SQLite needs no look: its connections are set up by us.
    """
    if connection.dialect.name != "postgresql":
        return
    for setting in ("synchronous_commit", "fsync"):
        if connection.execute(select(func.current_setting(setting))).scalar() == "off":
            raise Misconfigured(
                f"the PostgreSQL server has {setting} off, so that an acknowledged write may be lost: turn it on "
                "(for synchronous_commit, ALTER ROLE … SET synchronous_commit = on is enough)"
            )


async def upgrade(database: Database, *, backup_dir: Path, now: datetime, to: str = "head") -> bool:
    """Bring the schema up to date; answer whether anything was done.

    A SQLite file that holds data is copied to `backup_dir` first. Two servers that start at once may both try:
    the schema changes in one transaction, so one of them wins and the other sees the work done. Raises
    Misconfigured when the database was made by a newer version, Unreachable when it does not answer.
    """
    for tries_left in reversed(range(TRIES)):
        revision = await database.read(current_revision)
        if revision == HEAD and to == "head":
            return False
        if revision is not None and revision not in known_revisions():
            raise Misconfigured(
                f"the {database.place} has schema version {revision}, which this version of Ostiary does not know; "
                "it was made by a newer one: upgrade Ostiary"
            )
        if revision is not None and isinstance(database, SQLiteDatabase):
            _back_up(database.path, backup_dir, revision, now)
        try:
            await database.migrate(lambda connection: _upgrade(connection, to))
        except Exception:
            if tries_left and await database.read(current_revision) != revision:
                continue  # somebody else was at it at the same time
            raise
        return True
    raise AssertionError  # pragma: no cover - the last try returned or raised


def known_revisions() -> list[str]:
    """Answer all revisions of this version, the newest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - heavy, and not needed by a quiet start

    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def _config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - heavy, and not needed by a quiet start

    config = Config()
    config.set_main_option("script_location", "ostiary:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection, to: str) -> None:
    """Run the migrations on this connection, inside its transaction."""
    from alembic import command  # noqa: PLC0415 - heavy, and not needed by a quiet start

    given_out = _highest_ids(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)
    _keep_ids_spent(connection, given_out)


def _highest_ids(connection: Connection) -> dict[str, int]:
    """Answer, on SQLite, the highest id ever given out in each table that counts its own."""
    if connection.dialect.name != "sqlite" or not _counts_ids(connection):
        return {}
    return {row.name: row.seq for row in connection.execute(select(_sequences.c.name, _sequences.c.seq))}


def _keep_ids_spent(connection: Connection, given_out: dict[str, int]) -> None:
    """Put the counters back where they were.

    SQLite cannot change a column in place, so a migration copies the table; the copy's counter starts at its
    highest row, and the id of a newest user who was deleted would be given out again.
    """
    now_at = _highest_ids(connection)
    for name, highest in given_out.items():
        if name not in now_at and inspect(connection).has_table(name):  # copied while empty
            connection.execute(insert(_sequences).values(name=name, seq=highest))
        elif now_at.get(name, highest) < highest:
            connection.execute(update(_sequences).where(_sequences.c.name == name).values(seq=highest))


def _counts_ids(connection: Connection) -> bool:
    query = text("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")
    return connection.execute(query).first() is not None


def _back_up(path: Path, backup_dir: Path, revision: str, now: datetime) -> Path:
    """Copy a SQLite file that may be in use; the copy is complete or absent."""
    backup_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = backup_dir / f"before-upgrade-from-{revision}-{now:%Y%m%dT%H%M%S}.db"
    unfinished = target.with_suffix(".unfinished")
    unfinished.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as copy:
        source.backup(copy)
    unfinished.rename(target)
    return target
