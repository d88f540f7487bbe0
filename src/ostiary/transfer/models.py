"""The table of imports: how far each has come."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Column, Connection, String, Table, delete, select, update

from ostiary.db.statements import insert_into
from ostiary.db.types import Moment, metadata

user_imports = Table(
    "user_imports",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("lines", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("added", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("rejects_bytes", BigInteger, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("finished_at", Moment),
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the import of one file has come."""

    fingerprint: str
    """Of the file's content and form: the same file under another name is the same import."""
    lines: int = 0
    bytes: int = 0
    """Of the file, up to here; the next line begins there."""
    added: int = 0
    rejected: int = 0
    rejects_bytes: int = 0
    """Of the reject file. What is in it beyond was written by a chunk that was never kept."""
    finished_at: datetime | None = None


_COLUMNS = [user_imports.c[name] for name in Progress.__dataclass_fields__]


def progress_of(connection: Connection, fingerprint: str) -> Progress | None:
    """Answer how far the import of a file has come; None where it has not begun."""
    row = connection.execute(select(*_COLUMNS).where(user_imports.c.fingerprint == fingerprint)).first()
    return None if row is None else Progress(*row)


def begin(connection: Connection, fingerprint: str, *, now: datetime) -> Progress:
    """Note that an import begins, or answer how far another has come that began at the same time."""
    fresh = dict.fromkeys(("lines", "bytes", "added", "rejected", "rejects_bytes"), 0)
    connection.execute(
        insert_into(connection, user_imports)
        .values(fingerprint=fingerprint, started_at=now, updated_at=now, **fresh)
        .on_conflict_do_nothing()
    )
    return progress_of(connection, fingerprint) or Progress(fingerprint)


def forget(connection: Connection, fingerprint: str) -> None:
    """Forget an import, so that the file is taken from its first line again."""
    connection.execute(delete(user_imports).where(user_imports.c.fingerprint == fingerprint))


def take_turn(connection: Connection, progress: Progress, *, now: datetime) -> bool:
    """Say whether the import stands where the caller thinks; then nobody else can move it in this transaction."""
    i = user_imports.c
    here = update(user_imports).where(
        i.fingerprint == progress.fingerprint, i.bytes == progress.bytes, i.finished_at.is_(None)
    )
    return connection.execute(here.values(updated_at=now)).rowcount == 1


def keep(connection: Connection, progress: Progress) -> None:
    """Note how far an import has come. The caller has its turn."""
    values = {name: getattr(progress, name) for name in Progress.__dataclass_fields__}
    connection.execute(update(user_imports).where(user_imports.c.fingerprint == progress.fingerprint).values(values))
