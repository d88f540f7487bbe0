"""What each revision of the schema says of itself, and how old a server may be that goes on beside the newest one.

Each revision declares, beside its number:

    compatible = True                       # a server of the revision before may go on, and start, beside it
    tables = ("users",)                     # what it makes or changes
    waits = "users: an index is built"      # what writers wait for, in words; "" where it takes no time
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, Integer, String, Table, delete, insert, inspect, select

from ostiary.db.types import metadata

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

schema_compatibility = Table(
    "schema_compatibility",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("oldest_server", String(32), nullable=False),
)
"""One row: the revision that a server must know, at least, to work with this schema."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the schema, in the words of its module."""

    number: str
    does: str
    tables: tuple[str, ...]
    is_compatible: bool
    waits: str


def all_revisions(scripts: "ScriptDirectory") -> list[Revision]:
    """Answer every revision of this version, the newest first."""
    return [
        Revision(
            script.revision,
            (script.module.__doc__ or "").strip().partition("\n")[0],
            tuple(getattr(script.module, "tables", ())),
            bool(getattr(script.module, "compatible", False)),
            str(getattr(script.module, "waits", "")),
        )
        for script in scripts.walk_revisions()
    ]


def oldest_server(revisions: Iterable[Revision]) -> str | None:
    """Answer the newest revision that an older server cannot work with: who knows it may work with all after it.

    Takes the revisions of a database, the newest first.
    """
    return next((revision.number for revision in revisions if not revision.is_compatible), None)


def read_oldest_server(connection: Connection) -> str | None:
    """Answer what the database says of how old a server may be; None where it does not say."""
    if not inspect(connection).has_table(schema_compatibility.name):
        return None
    return connection.execute(select(schema_compatibility.c.oldest_server)).scalar()


def write_oldest_server(connection: Connection, revision: str | None) -> None:
    """Write down how old a server may be, in the transaction of the upgrade."""
    if revision is None or not inspect(connection).has_table(schema_compatibility.name):
        return
    connection.execute(delete(schema_compatibility))
    connection.execute(insert(schema_compatibility).values(id=1, oldest_server=revision))
