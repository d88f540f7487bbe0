"""Loading a backup into an empty database: all of it, or nothing that anybody could serve."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from sqlalchemy import Connection, inspect

from ostiary.crypto.secret import Secret
from ostiary.db import Misconfigured, open_database
from ostiary.db.backups.file import Header, Rows, TableEnd, TableStart, parts_of
from ostiary.db.backups.rows import digest_of, empty, insert_line, learn_sizes, spend_ids, take_time
from ostiary.db.backups.saving import Show
from ostiary.db.backups.shape import BadBackup, Shape, shapes_of
from ostiary.db.schema import (
    HEAD,
    alone_with_alembic,
    check_durability,
    known_revisions,
    run_migrations,
    upgrade_schema,
)
from ostiary.db.sqlite import SQLiteDatabase
from ostiary.settings import Settings

Finish = Callable[[Connection, Header], None]
"""What is still to be done to the loaded database in the same transaction, at the newest schema version."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A backup that is whole, as it was written, and ours."""

    file: BinaryIO
    secret: Secret
    header: Header
    shapes: list[Shape]
    digests: dict[str, str]

    @property
    def total(self) -> int:
        """How many rows it has."""
        return sum(self.header.rows.values())


async def check(file: BinaryIO, secret: Secret) -> Checked:
    """Read a backup from end to end and hold it to its seal; nothing is written.

    Raises BadBackup, and Misconfigured for one of another secret or of a newer version.
    """
    parts = parts_of(file, secret)
    header = cast("Header", next(parts))
    if header.schema not in known_revisions():
        raise Misconfigured(
            f"the backup has schema version {header.schema}, which this version of Ostiary does not know; it was made "
            f"by a newer one ({header.ostiary}): upgrade Ostiary"
        )
    digests: dict[str, str] = {}
    found: dict[str, Shape] = {}
    name = ""
    for part in parts:
        if isinstance(part, TableStart):
            name = part.shape.table
            found[name] = part.shape
        elif isinstance(part, TableEnd):
            digests[name] = part.digest
    shapes = await shapes_of(header.schema)
    for shape in shapes:
        if shape.table not in found or found[shape.table].columns != shape.columns:
            raise BadBackup(f"its table {shape.table} is not that of schema version {header.schema}")
    return Checked(file, secret, header, shapes, digests)


async def load(checked: Checked, settings: Settings, *, finish: Finish, now: datetime, show: Show) -> None:
    """Make the empty database that the settings name what the backup says, upgraded to the newest schema version.

    What was written is read again and compared before it is kept. Raises Misconfigured for a database that is not
    empty, BadBackup, Unreachable.
    """
    flow = partial(_load, checked=checked, finish=finish, show=show)
    if settings.sqlite_file is not None:
        with _place_for(settings.sqlite_file) as unfinished:
            database = SQLiteDatabase(unfinished)
            try:
                async with alone_with_alembic():
                    await database.migrate(flow)
            finally:
                await database.close()
        return
    server = open_database(settings)
    owner = open_database(settings, as_owner=True)
    try:
        await server.read(check_durability)
        async with alone_with_alembic():
            await owner.migrate(flow)
        await upgrade_schema(server, settings, now=now)  # it is new already; but the serving role may need its rights
    finally:
        await owner.close()
        await server.close()


def refuse_full(connection: Connection) -> None:
    """Raise Misconfigured for a database that has any table of ours."""
    there = [name for name in inspect(connection).get_table_names() if name in {"alembic_version", "users"}]
    if there:
        raise Misconfigured(
            "there is an installation in the database already, and nothing was changed: name an empty one. If an "
            "earlier run was finished, there is nothing left to do"
        )


def _load(connection: Connection, checked: Checked, finish: Finish, show: Show) -> None:
    take_time(connection)
    refuse_full(connection)
    run_migrations(connection, checked.header.schema)
    empty(connection, checked.shapes)
    done, total = 0, 2 * checked.total
    shapes = {shape.table: shape for shape in checked.shapes}
    shape: Shape | None = None
    for part in parts_of(checked.file, checked.secret):
        if isinstance(part, TableStart):
            shape = shapes.get(part.shape.table)
            if shape is not None and part.last_id is not None:
                spend_ids(connection, shape, part.last_id)
        elif isinstance(part, Rows) and shape is not None:
            done += insert_line(connection, shape, part.line)
            show(done, total)

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        show(done, total)

    for each in checked.shapes:
        if digest_of(connection, each, count) != checked.digests[each.table]:
            raise BadBackup(f"what the database keeps of the table {each.table} is not what was written to it")
    _refuse_dangling(connection)
    learn_sizes(connection, checked.shapes)
    if checked.header.schema != HEAD:
        run_migrations(connection, "head")
    finish(connection, checked.header)


def _refuse_dangling(connection: Connection) -> None:
    """Raise BadBackup where a row points to one that is not there; PostgreSQL has refused it already."""
    if connection.dialect.name != "postgresql":
        found = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if found is not None:
            raise BadBackup(f"a row of the table {found[0]} belongs to one of {found[2]} that is not there")


@contextmanager
def _place_for(path: Path) -> Iterator[Path]:
    """Answer a file beside the one that is to be; it gets that name when the block is done, whole and on disk.

    A log that another database of the same name has left would be taken for the new one's. Raises Misconfigured.
    """
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Misconfigured(f"another restore is at work in {path.parent}") from error
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            if os.path.lexists(path.with_name(name)):
                raise Misconfigured(
                    f"{path.with_name(name)} exists, and nothing was changed: move it away first, and what lies beside "
                    "it under the same name"
                )
        unfinished = path.with_name(f"{path.name}.unfinished")
        _remove(unfinished)
        try:
            yield unfinished
            _settle(unfinished)
            try:
                path.hardlink_to(unfinished)
            except FileExistsError as error:
                raise Misconfigured(f"{path} was made by somebody else meanwhile; it was left as it is") from error
        finally:
            _remove(unfinished)
        os.fsync(directory)
    finally:
        os.close(directory)


def _settle(path: Path) -> None:
    """Let the file hold everything, so that it can take its name without a log beside it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(verdict,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if verdict != "ok":
        raise BadBackup(f"SQLite finds a mistake in what was loaded: {verdict}")
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise OSError(f"{log} could not be written back")


def _remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
        path.with_name(name).unlink(missing_ok=True)
