"""Rows of a table out of a database and into one, on either engine."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, text

from ostiary.db.backups.shape import BadBackup, Kind, Shape
from ostiary.db.schema import counting_tables

ROWS_IN_LINE = 250
"""Part of the form: the digest of a table is that of its lines."""

_LINES_FETCHED = 8
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
_TO_TEXT: dict[Kind, Callable[[Any], Any]] = {Kind.BYTES: bytes.hex, Kind.TRUTH: bool}
_FROM_TEXT: dict[Kind, Callable[[Any], Any]] = {Kind.BYTES: bytes.fromhex}
_REFUSED_VALUES = ("22", "23")  # data exception, integrity constraint violation


def take_time(connection: Connection) -> None:
    """Let this transaction last as long as it must, whatever the server grants others."""
    if connection.dialect.name == "postgresql":
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.exec_driver_sql(f"SET LOCAL {setting} = 0")


def count_rows(connection: Connection, shape: Shape) -> int:
    """Answer how many rows a table has."""
    return int(connection.exec_driver_sql(f'SELECT count(*) FROM "{shape.table}"').scalar_one())  # noqa: S608 - ours


def lines_of(connection: Connection, shape: Shape) -> Iterator[tuple[int, bytes]]:
    """Read a table in the order of its key; answer line after line, and how many rows each has."""
    kinds = dict(shape.columns)
    is_postgres = connection.dialect.name == "postgresql"
    by_bytes = ' COLLATE "C"' if is_postgres else ""  # as SQLite does; the order of a language differs by machine
    order = ", ".join(f'"{name}"{by_bytes if kinds[name] is Kind.TEXT else ""}' for name in shape.key)
    query = f'SELECT {_quoted(shape)} FROM "{shape.table}" ORDER BY {order}'  # noqa: S608 - names of ours
    converters = [(place, _TO_TEXT[kind]) for place, (_, kind) in enumerate(shape.columns) if kind in _TO_TEXT]
    for rows in _fetched(connection, query, cursor=f"ostiary_{shape.table}"):
        yield len(rows), _encode(_converted(rows, converters)).encode("ascii") + b"\n"


def digest_of(connection: Connection, shape: Shape, show: Callable[[int], None]) -> str:
    """Read a table and answer the digest of its lines."""
    digest = hashlib.sha256()
    for count, line in lines_of(connection, shape):
        digest.update(line)
        show(count)
    return digest.hexdigest()


def empty(connection: Connection, shapes: Sequence[Shape]) -> None:
    """Take out what migrations have put in, children first."""
    for shape in reversed(shapes):
        connection.exec_driver_sql(f'DELETE FROM "{shape.table}"')  # noqa: S608 - a name of ours


def insert_line(connection: Connection, shape: Shape, line: bytes) -> int:
    """Put the rows of a line into the table; answer how many. Raises BadBackup for what the engine does not take."""
    converters = [(place, _FROM_TEXT[kind]) for place, (_, kind) in enumerate(shape.columns) if kind in _FROM_TEXT]
    rows = _converted(json.loads(line), converters)
    if connection.dialect.name == "postgresql":
        _copy(connection, shape, rows)
    else:
        places = ", ".join("?" * len(shape.columns))
        statement = f'INSERT INTO "{shape.table}" ({_quoted(shape)}) VALUES ({places})'  # noqa: S608 - names of ours
        connection.exec_driver_sql(statement, rows)
    return len(rows)


def learn_sizes(connection: Connection, shapes: Sequence[Shape]) -> None:
    """Let PostgreSQL plan for as many rows as there are at once, not in the minute that it takes to notice them."""
    if connection.dialect.name == "postgresql":
        for shape in shapes:
            connection.exec_driver_sql(f'ANALYZE "{shape.table}"')


def last_id(connection: Connection, shape: Shape) -> int | None:
    """Answer the highest id that a table has given out, or has; None where its key is not one number."""
    if not shape.counts:
        return None
    if connection.dialect.name == "postgresql":
        query = text("SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(:name, :key) AS regclass))")
        given_out = connection.execute(query, {"name": shape.table, "key": shape.key[0]}).scalar()
    else:
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        given_out = connection.execute(query, {"name": shape.table}).scalar()
    highest = connection.exec_driver_sql(f'SELECT max("{shape.key[0]}") FROM "{shape.table}"').scalar()  # noqa: S608
    return max(int(given_out or 0), int(highest or 0))


def spend_ids(connection: Connection, shape: Shape, last: int) -> None:
    """Let a table, where it does give out ids, go on after the last that was ever given out."""
    if not last:
        return
    if connection.dialect.name == "postgresql":
        query = text(
            "SELECT setval(CAST(pg_get_serial_sequence(:name, :key) AS regclass), :last)"
        )  # NULL for no counter
        connection.execute(query, {"name": shape.table, "key": shape.key[0], "last": last})
    elif shape.table in counting_tables(connection):
        values = {"name": shape.table, "last": last}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), values)


def _fetched(connection: Connection, query: str, *, cursor: str) -> Iterator[Sequence[Row[Any]]]:
    """Answer what a query finds, so many rows at a time as a line has."""
    if connection.dialect.name != "postgresql":
        yield from connection.exec_driver_sql(query).partitions(ROWS_IN_LINE)
        return
    # The driver's own cursors stay open until the transaction ends, and no migration could follow. One name for each
    # table, since the driver remembers what columns a statement has.
    connection.exec_driver_sql(f"DECLARE {cursor} NO SCROLL CURSOR FOR {query}")
    while rows := connection.exec_driver_sql(f"FETCH {ROWS_IN_LINE * _LINES_FETCHED} FROM {cursor}").all():
        yield from (rows[start : start + ROWS_IN_LINE] for start in range(0, len(rows), ROWS_IN_LINE))
    connection.exec_driver_sql(f"CLOSE {cursor}")


def _quoted(shape: Shape) -> str:
    return ", ".join(f'"{name}"' for name in shape.names)


def _converted(rows: Sequence[Sequence[Any]], converters: list[tuple[int, Callable[[Any], Any]]]) -> list[Any]:
    """Answer rows as tuples, some of their columns converted."""
    columns: list[Any] = list(zip(*rows, strict=True))
    for place, convert in converters:
        columns[place] = [None if value is None else convert(value) for value in columns[place]]
    return list(zip(*columns, strict=True))


def _copy(connection: Connection, shape: Shape, rows: list[Any]) -> None:
    """Put rows into PostgreSQL as fast as it takes them: past SQLAlchemy, in the same transaction."""
    import asyncpg  # noqa: PLC0415 - SQLite never needs it
    from sqlalchemy.util import await_only  # noqa: PLC0415

    driver: Any = connection.connection.driver_connection
    copy = partial(driver.copy_records_to_table, shape.table, records=rows, columns=shape.names)
    try:
        await_only(copy())
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # What does not fit a column is found out by the driver, as a ValueError, or by the server.
        is_refused = isinstance(error, ValueError) or (getattr(error, "sqlstate", None) or "")[:2] in _REFUSED_VALUES
        if not is_refused:
            raise
        line = str(error).splitlines()[0]
        raise BadBackup(f"PostgreSQL does not take a row of the table {shape.table}: {line}") from error
