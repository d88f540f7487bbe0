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
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, func, insert, inspect, select, table, text, update
from sqlalchemy.exc import DBAPIError

from ostiary.db import Database, Misconfigured, Unreachable, open_database
from ostiary.db.history.revisions import Revision, all_revisions, oldest_server, read_oldest_server, write_oldest_server
from ostiary.db.sqlite import SQLiteDatabase
from ostiary.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0015"
"""The newest revision under `migrations/versions`, written here so that a start need not load Alembic."""

VERSIONS = ("ostiary:migrations/versions",)
"""Where the revisions are."""

_version = table("alembic_version", column("version_num"))
_sequences = table("sqlite_sequence", column("name"), column("seq"))

TRIES = 5
WAIT_SECONDS = 0.01
LOCK_TRIES = 40
LOCK_TIMEOUT = "2s"
"""How long a change waits for a table on PostgreSQL: whoever comes behind waits as well, at most half of FL-2's 5 s."""
LOCK_PAUSE_SECONDS = 1.0

_TABLE_IN_USE = frozenset({"55P03", "40P01"})  # lock_not_available, deadlock_detected

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
    AHEAD = "ahead"
    """Newer, and says itself that this version may go on with it."""
    NEWER = "newer"


@dataclass(frozen=True, slots=True)
class Standing:
    """The schema version of a database, None where there is none yet, and what that means for this version."""

    revision: str | None
    state: State

    @property
    def is_usable(self) -> bool:
        """Whether this version may work with the database as it is."""
        return self.state in {State.CURRENT, State.AHEAD}


def found(connection: Connection) -> tuple[str | None, str | None]:
    """Answer the revision of a database, and which one a server must know at least."""
    revision = current_revision(connection)
    return revision, None if revision is None else read_oldest_server(connection)


def judge(revision: str | None, oldest: str | None) -> Standing:
    """Say how a database with these revisions stands to this version."""
    if revision is None:
        return Standing(None, State.EMPTY)
    if revision == HEAD:
        return Standing(revision, State.CURRENT)
    known = known_revisions()
    if revision in known:
        return Standing(revision, State.OLDER)
    return Standing(revision, State.AHEAD if oldest in known else State.NEWER)


async def standing(database: Database) -> Standing:
    """Say how a database stands; nothing is made or changed, not even an empty file. Raises Unreachable."""
    if isinstance(database, SQLiteDatabase) and not database.path.exists():
        return Standing(None, State.EMPTY)
    return judge(*await database.read(found))


def made_by_newer(place: object, revision: str | None) -> str:
    """Say that a database is too new for this version."""
    return (
        f"{place} has schema version {revision}, which this version of Ostiary does not know; "
        "it was made by a newer one: upgrade Ostiary"
    )


def backups_in(settings: Settings) -> Path:
    """Answer where a SQLite file is copied to before an upgrade."""
    return settings.data_dir / "backups"


async def upgrade_schema(database: Database, settings: Settings, *, now: datetime) -> bool:
    """Bring the schema up to date, as the owner's role where there is one (ST-1); answer whether anything was done."""
    backups = backups_in(settings)
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
        revision, oldest = await database.read(found)
        stands = judge(revision, oldest)
        if stands.is_usable and to == "head":
            return False
        if stands.state is State.NEWER:
            raise Misconfigured(made_by_newer(database.place, revision))
        if revision is not None and isinstance(database, SQLiteDatabase):
            _back_up(database.path, backup_dir, revision, now)
        try:
            await _migrate(database, to)
        except Exception:
            if tries_left and await database.read(current_revision) != revision:
                continue  # somebody else was at it at the same time
            raise
        return True
    raise AssertionError  # pragma: no cover - the last try returned or raised


async def _migrate(database: Database, to: str) -> None:
    """Change the schema, again and again where the tables are in use: servers of the version before may be at work."""
    for tries_left in reversed(range(LOCK_TRIES)):
        try:
            async with alone_with_alembic():
                await database.migrate(partial(run_migrations, to=to))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _TABLE_IN_USE:
                raise
            if not tries_left:
                raise Unreachable(
                    reason="a table that the upgrade changes is in use without a pause; nothing was changed: look for "
                    "long transactions, a backup for one, and try again"
                ) from error
        else:
            return
        await asyncio.sleep(LOCK_PAUSE_SECONDS)


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
    """Answer the numbers of all revisions of this version, the newest first."""
    return [revision.number for revision in revisions()]


def revisions() -> list[Revision]:
    """Answer all revisions of this version, the newest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - heavy, and not needed by a quiet start

    scripts: ScriptDirectory = ScriptDirectory.from_config(_config())
    return all_revisions(scripts)


def revisions_after(revision: str | None) -> list[Revision]:
    """Answer what a database of this revision has before it, the oldest first."""
    newer = list(takewhile(lambda each: each.number != revision, revisions()))
    return newer[::-1]


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

    _take_turn(connection)
    counting, given_out = counting_tables(connection), _highest_ids(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)
    _keep_ids_spent(connection, given_out)
    reached = current_revision(connection)
    behind = dropwhile(lambda revision: revision.number != reached, revisions())
    write_oldest_server(connection, oldest_server(behind))
    stopped = [name for name in counting - counting_tables(connection) if inspect(connection).has_table(name)]
    if stopped:
        raise RuntimeError(f"the migration copied {', '.join(stopped)} without sqlite_autoincrement; nothing was kept")


def _take_turn(connection: Connection) -> None:
    """Wait, on PostgreSQL, for whoever upgrades already; for tables that are in use wait only a moment at a time.

    SQLite has one writer anyway.
    """
    if connection.dialect.name != "postgresql":
        return
    if inspect(connection).has_table(_version.name):
        connection.execute(select(_version.c.version_num).with_for_update())
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))


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
