"""Statements that both engines know and SQLAlchemy keeps in their dialects."""

from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


def insert_into(connection: Connection, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """Answer an INSERT that can say what to do about a conflict (ON CONFLICT)."""
    if connection.dialect.name != "postgresql":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - takes time to load, and SQLite never needs it

    return postgresql.insert(table)
