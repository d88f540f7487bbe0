"""The database, whichever it is: `read` and `write` run synchronous flows, each in one transaction.

A flow is a plain function whose first argument is a SQLAlchemy `Connection`. It cannot await, so it cannot
call the network, hash a password or sleep while it holds a transaction. Nothing outside this package knows
which engine answers, and nobody else opens a connection.
"""

from ostiary.db.database import Database, Misconfigured, Unreachable
from ostiary.db.flows import read_committed
from ostiary.db.sqlite import SQLiteDatabase
from ostiary.settings import Settings

__all__ = ["Database", "Misconfigured", "Unreachable", "open_database", "read_committed"]


def open_database(settings: Settings, *, as_owner: bool = False) -> Database:
    """Answer the database that the settings name; nothing is connected yet.

    `as_owner` uses `database_owner_url` where there is one: the role that may change the schema (ST-1).
    """
    url = (settings.database_owner_url if as_owner else None) or settings.database_url
    if settings.sqlite_file is not None or url is None:
        return SQLiteDatabase(settings.sqlite_file or settings.data_dir / "ostiary.db")
    from ostiary.db.postgres import PostgresDatabase  # noqa: PLC0415 - brings SQLAlchemy's ORM, which SQLite never needs

    return PostgresDatabase(url, statement_cache=settings.database_statement_cache)
