"""Copies of a SQLite file, as an upgrade leaves them in `backups/`: made into a backup, they are restored like one."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from ostiary.crypto.secret import Secret
from ostiary.db import Misconfigured, Unreachable
from ostiary.db.backups.saving import save
from ostiary.db.backups.shape import BadBackup
from ostiary.db.schema import current_revision, known_revisions, made_by_newer
from ostiary.db.sqlite import SQLiteDatabase

_MAGIC = b"SQLite format 3\0"


def is_copy(file: Path) -> bool:
    """Say whether a file is one of SQLite's."""
    with file.open("rb") as opened:
        return opened.read(len(_MAGIC)) == _MAGIC


async def as_backup(file: Path, directory: Path, secret: Secret) -> Path:
    """Make a backup of a copy, and answer where in the directory it is. The copy is looked at only.

    It has no seal that could show a change. Raises BadBackup for one that is damaged, or is a database in use, and
    Misconfigured for one of a newer version.
    """
    made_at = _time_of(file)
    aside, target = directory / "copy.db", directory / "copy.backup"
    shutil.copyfile(file, aside)
    database = SQLiteDatabase(aside)
    try:
        await database.survey(_refuse_damaged)
        revision = await database.read(current_revision)
        if revision is None:
            raise BadBackup("it is no database of Ostiary")
        if revision not in known_revisions():
            raise Misconfigured(made_by_newer(file, revision))
        with target.open("wb") as opened:
            await save(database, opened, secret, now=made_at, show=lambda *_: None)
    except Unreachable as problem:
        raise BadBackup(problem.reason) from problem
    finally:
        await database.close()
    return target


def _time_of(file: Path) -> datetime:
    """Answer when a copy was written. Raises BadBackup for one that is still written to."""
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size:
        raise BadBackup(f"{log} belongs to it: it is no copy, but a database that was in use")
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def _refuse_damaged(connection: Connection) -> None:
    verdict = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
    if verdict != "ok":
        raise BadBackup(f"SQLite finds a mistake in it: {verdict}")
