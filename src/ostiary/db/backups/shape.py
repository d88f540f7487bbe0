"""Which tables a schema version has, what is in their columns, and what of it is worth keeping."""

from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Float, Integer, LargeBinary, String, create_engine, inspect
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.types import TypeEngine

from ostiary.db.schema import alone_with_alembic, run_migrations
from ostiary.problems import Forbidden

LEFT_OUT = {
    "alembic_version": "the first line of a backup says it",
    "schema_compatibility": "whatever makes the schema says it",
    "leases": "they say which running server does what, and none of those runs on the restored database",
    "request_counts": "request limits may begin anew at any time",
    "counting_nodes": "which running servers share them",
}
"""Tables that are in no backup, each with the reason. They are as new after a restore."""


class BadBackup(Forbidden):
    """A file is no backup that can be trusted, or what it holds does not fit."""

    detail = "The backup cannot be used"
    code = "bad_backup"

    def __init__(self, why: str) -> None:
        super().__init__(f"The backup cannot be used: {why}")


class Kind(StrEnum):
    """What a column holds, in words that both engines share."""

    INTEGER = "integer"
    TEXT = "text"
    BYTES = "bytes"
    TRUTH = "truth"
    REAL = "real"


KINDS: tuple[tuple[type, Kind], ...] = (
    (Boolean, Kind.TRUTH),
    (Integer, Kind.INTEGER),
    (Float, Kind.REAL),
    (String, Kind.TEXT),
    (LargeBinary, Kind.BYTES),
)


class Shape(NamedTuple):
    """A table as a schema version has it."""

    table: str
    columns: tuple[tuple[str, Kind], ...]
    key: tuple[str, ...]

    @property
    def counts(self) -> bool:
        """Whether it may give out its own ids: its key is one number."""
        return len(self.key) == 1 and dict(self.columns)[self.key[0]] is Kind.INTEGER

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [name for name, _ in self.columns]


async def shapes_of(revision: str) -> list[Shape]:
    """Answer the tables of a schema version that are in a backup, parents before their children.

    The migrations are asked, not the database: what an operator has added beside our tables is not ours to keep.
    """
    engine = create_engine("sqlite://")
    try:
        async with alone_with_alembic():
            with engine.begin() as connection:
                run_migrations(connection, revision)
                inspector = inspect(connection)
                names = [name for name, _ in inspector.get_sorted_table_and_fkc_names() if name is not None]
                return [_shape(inspector, name) for name in names if name not in LEFT_OUT]
    finally:
        engine.dispose()


def _shape(inspector: Inspector, table: str) -> Shape:
    columns = tuple((column["name"], kind_of(column["type"])) for column in inspector.get_columns(table))
    return Shape(table, columns, tuple(inspector.get_pk_constraint(table)["constrained_columns"]))


def kind_of(declared: TypeEngine[Any]) -> Kind:
    """Answer what a column of this type holds. Raises NotImplementedError for one that no table had so far."""
    for type_, kind in KINDS:
        if isinstance(declared, type_):
            return kind
    raise NotImplementedError(f"a backup cannot hold {declared!r} yet")
