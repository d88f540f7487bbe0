"""Bringing a database to the schema that this version needs, and saying where it stands."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, func, insert, inspect, select, table, text, update

from ostiary.db import Database, Misconfigured, open_database
from ostiary.db.sqlite import SQLiteDatabase
from ostiary.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0014"
"""The newest revision under `migrations/versions`, written here so that a start need not load Alembic."""

VERSIONS = ("ostiary:migrations/versions",)
"""Where the revisions are."""

_version = table("alembic_version", column("version_num"))
_sequences = table("sqlite_sequence", column("name"), column("seq"))

TRIES = 5
WAIT_SECONDS = 0.01

_ALEMBIC = threading.Lock()


def current_revision(connection: Connection) -> str | None:
    """Answer the revision a database is at; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(select(_version.c.version_num)).scalar()


def check_durability(connection: Connection) -> None:
    """Refuse a PostgreSQL that says something is kept before it is (ST-1). Raises Misconfigured.

    SQLite needs no look: its connections are set up by us. An engine that speaks PostgreSQL and has no such setting has
    none that could be off.
    """
    if connection.dialect.name != "postgresql":
        return
    for setting in ("synchronous_commit", "fsync"):
        if connection.execute(select(func.current_setting(setting, True))).scalar() == "off":  # noqa: FBT003 - SQL's
            raise Misconfigured(
                f"the PostgreSQL server has {setting} off, so that an acknowledged write may be lost: turn it on "
                "(for synchronous_commit, ALTER ROLE … SET synchronous_commit = on is enough)"
            )


class State(StrEnum):
    """How a database stands to this version."""

    EMPTY = "empty"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


@dataclass(frozen=True, slots=True)
class Standing:
    """The schema version of a database, None where there is none yet, and what that means for this version."""

    revision: str | None
    state: State


async def standing(database: Database) -> Standing:
    """Say how a database stands; nothing is made or changed, not even an empty file. Raises Unreachable."""
    if isinstance(database, SQLiteDatabase) and not database.path.exists():
        return Standing(None, State.EMPTY)
    revision = await database.read(current_revision)
    if revision is None:
        return Standing(None, State.EMPTY)
    if revision == HEAD:
        return Standing(revision, State.CURRENT)
    return Standing(revision, State.OLDER if revision in known_revisions() else State.NEWER)


def made_by_newer(place: object, revision: str | None) -> str:
    """Say that a database is too new for this version."""
    return (
        f"{place} has schema version {revision}, which this version of Ostiary does not know; "
        "it was made by a newer one: upgrade Ostiary"
    )


async def upgrade_schema(database: Database, settings: Settings, *, now: datetime) -> bool:
    """Bring the schema up to date, as the owner's role where there is one (ST-1); answer whether anything was done."""
    backups = settings.data_dir / "backups"
    if settings.database_owner_url is None:
        return await upgrade(database, backup_dir=backups, now=now)
    owner = open_database(settings, as_owner=True)
    try:
        done = await upgrade(owner, backup_dir=backups, now=now)
        role = await database.read(_current_role)
        await owner.migrate(partial(_grant, role=role))
    finally:
        await owner.close()
    return done


def _current_role(connection: Connection) -> str:
    return str(connection.execute(select(func.current_user())).scalar_one())


def _grant(connection: Connection, *, role: str) -> None:
    """Let the serving role use the tables, not change them."""
    quoted = connection.dialect.identifier_preparer.quote(role)
    connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {quoted}"))
    connection.execute(text(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {quoted}"))


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
            raise Misconfigured(made_by_newer(database.place, revision))
        if revision is not None and isinstance(database, SQLiteDatabase):
            _back_up(database.path, backup_dir, revision, now)
        try:
            async with alone_with_alembic():
                await database.migrate(partial(run_migrations, to=to))
        except Exception:
            if tries_left and await database.read(current_revision) != revision:
                continue  # somebody else was at it at the same time
            raise
        return True
    raise AssertionError  # pragma: no cover - the last try returned or raised


@asynccontextmanager
async def alone_with_alembic() -> AsyncIterator[None]:
    """Wait until no other application of this process uses Alembic: what it migrates is global to the process."""
    while not _ALEMBIC.acquire(blocking=False):  # noqa: ASYNC110 - an asyncio lock belongs to one event loop
        await asyncio.sleep(WAIT_SECONDS)
    try:
        yield
    finally:
        _ALEMBIC.release()


def known_revisions() -> list[str]:
    """Answer all revisions of this version, the newest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - heavy, and not needed by a quiet start

    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def _config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - heavy, and not needed by a quiet start

    config = Config()
    config.set_main_option("script_location", "ostiary:migrations")
    config.set_main_option("version_locations", "\n".join(VERSIONS))
    config.set_main_option("path_separator", "newline")
    return config


def run_migrations(connection: Connection, to: str) -> None:
    """Run the migrations on this connection, inside its transaction."""
    from alembic import command  # noqa: PLC0415 - heavy, and not needed by a quiet start

    counting, given_out = counting_tables(connection), _highest_ids(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)
    _keep_ids_spent(connection, given_out)
    stopped = [name for name in counting - counting_tables(connection) if inspect(connection).has_table(name)]
    if stopped:
        raise RuntimeError(f"the migration copied {', '.join(stopped)} without sqlite_autoincrement; nothing was kept")


def counting_tables(connection: Connection) -> set[str]:
    """Answer, on SQLite, the tables that never give out an id twice.

    A copied table does so only where the migration says it again: it is not among what Alembic reads off the old one.
    """
    if connection.dialect.name != "sqlite":
        return set()
    query = text("SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%'")
    return set(connection.execute(query).scalars())


def _highest_ids(connection: Connection) -> dict[str, int]:
    """Answer, on SQLite, the highest id ever given out in each table that counts its own."""
    if not counting_tables(connection):
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
