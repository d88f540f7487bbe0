"""Saving a database into a file, as one snapshot shows it, while servers go on writing."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import BinaryIO, NamedTuple

from sqlalchemy import Connection, text

from ostiary.crypto.secret import Secret
from ostiary.db import Database, Misconfigured
from ostiary.db.backups.file import FORM, Header, Writer, key_of
from ostiary.db.backups.rows import count_rows, last_id, lines_of, take_time
from ostiary.db.backups.shape import Shape, shapes_of
from ostiary.db.schema import current_revision

Show = Callable[[int, int], None]
"""Told how many rows are done, and of how many."""


class _Known(NamedTuple):
    """What must be known before the snapshot begins."""

    revision: str
    shapes: list[Shape]
    secret: Secret
    now: datetime


async def save(database: Database, target: BinaryIO, secret: Secret, *, now: datetime, show: Show) -> Header:
    """Write a database of any schema version that we know into a file. Nobody is kept waiting by it.

    Raises Misconfigured for another secret than the database's, Unreachable, OSError.
    """
    revision = await database.read(current_revision)
    if revision is None:
        raise Misconfigured(f"{database.place} is empty: there is nothing to back up")
    known = _Known(revision, await shapes_of(revision), secret, now)
    return await database.survey(partial(_save, target=target, known=known, show=show))


def _save(connection: Connection, target: BinaryIO, known: _Known, show: Show) -> Header:
    take_time(connection)
    if current_revision(connection) != known.revision:
        raise Misconfigured("the database is being upgraded: try again when that is done")
    fingerprint = _fingerprint(connection) or known.secret.fingerprint
    key = key_of(known.secret, fingerprint)
    header = Header(
        ostiary_backup=FORM,
        ostiary=version("ostiary"),
        schema=known.revision,
        engine=connection.dialect.name,
        made_at=known.now.isoformat(timespec="seconds"),
        secret=fingerprint,
        rows={shape.table: count_rows(connection, shape) for shape in known.shapes},
    )
    writer, done, total = Writer(target, header, key), 0, sum(header.rows.values())
    for shape in known.shapes:
        writer.begin_table(shape, last_id(connection, shape))
        for count, line in lines_of(connection, shape):
            writer.add(count, line)
            done += count
            show(done, total)
        writer.end_table()
    writer.end()
    return header


def _fingerprint(connection: Connection) -> str | None:
    """Answer the name of the secret that the installation is bound to; None where nobody has served it yet."""
    return connection.execute(text("SELECT secret_fingerprint FROM installation")).scalar()
