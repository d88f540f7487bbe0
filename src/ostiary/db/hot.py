"""Hot statements: asked thousands of times a second, many at once, so in text for each engine.

Building a statement and its rows in SQLAlchemy costs more than answering it. Text is allowed only in modules called
`hot.py`, and for each one a test shows that it gives what the same statement in SQLAlchemy's words gives.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from sqlalchemy import Connection

Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Lookup:
    """A question about one row, which many may ask at once of one snapshot, through `db.look_up`.

    An item is the tuple of its parameters; the answer is its row, or None where there is none. The first column of the
    answer is never NULL in a row that exists.
    """

    sqlite: str
    """Answers one item, whose parameters are `?`. It is run for each, in one transaction."""
    postgresql: str
    """Answers all items in one statement. Parameter n is the array of the n-th members of the items; there is exactly
    one row for each item, in their order, of NULLs where nothing was found."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement inside a flow, with values `?1`, `?2`, … where both engines take the same words."""

    text: str
    locking: str = ""
    """What PostgreSQL wants at the end to lock the rows it reads; SQLite has one writer and needs nothing."""

    def run(self, connection: Connection, *values: Any) -> Sequence[Row]:
        """Run it; answer the rows that it reads or returns, values as the database holds them."""
        if connection.dialect.name == "postgresql":
            result = connection.exec_driver_sql(f"{self.text.replace('?', '$')} {self.locking}", values)
            return cast("Sequence[Row]", result.all()) if result.returns_rows else ()
        return _driver(connection).execute(self.text, values).fetchall()


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows by their keys, of which there is any number, inside a flow."""

    sqlite: str
    """Takes the keys as one JSON array, for `json_each(?)`."""
    postgresql: str
    """Takes the keys as one array, `$1`."""

    def rows(self, connection: Connection, keys: Sequence[str] | Sequence[int]) -> Sequence[Row]:
        """Answer the rows that exist, values as the database holds them."""
        if connection.dialect.name == "postgresql":
            return cast("Sequence[Row]", connection.exec_driver_sql(self.postgresql, (list(keys),)).all())
        return _driver(connection).execute(self.sqlite, (json.dumps(list(keys)),)).fetchall()


@dataclass(frozen=True, slots=True)
class Stretches:
    """Several rows for each of many items, inside a flow."""

    sqlite: str
    """Answers one item, whose parameters are `?1`, `?2`, … It is run for each."""
    postgresql: str
    """Answers all items in one statement. Parameter n is the array of the n-th members of the items; the first column
    of the answer is the item's place, from 1, in their order."""

    def rows(self, connection: Connection, items: Sequence[Row]) -> list[list[Row]]:
        """Answer each item's rows, values as the database holds them."""
        if connection.dialect.name != "postgresql":
            driver = _driver(connection)
            return [driver.execute(self.sqlite, item).fetchall() for item in items]
        answers: list[list[Row]] = [[] for _ in items]
        if items:
            arrays = tuple(map(list, zip(*items, strict=True)))
            for place, *row in connection.exec_driver_sql(self.postgresql, arrays):
                answers[place - 1].append(tuple(row))
        return answers


@dataclass(frozen=True, slots=True)
class Change:
    """The same change for many rows, each with values of its own, inside a flow."""

    sqlite: str
    """Changes one row, whose values are `?`. It is run for each."""
    postgresql: str
    """Changes all rows in one statement. Parameter n is the array of the n-th values of the rows."""

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Change the rows, at least one, each by its values in the order that the text takes them."""
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(self.postgresql, tuple(map(list, zip(*rows, strict=True))))
        else:
            _driver(connection).executemany(self.sqlite, rows)


def _driver(connection: Connection) -> sqlite3.Connection:
    """Answer SQLite's own connection, in the same transaction."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)
