"""What happens beside a server: looks at its database and writes to it over connections of their own, and restarts."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any, Concatenate, ParamSpec, TypeVar

import asyncpg
from sqlalchemy import Connection

from ostiary.context import App
from ostiary.db import Database, open_database
from ostiary.settings import Settings
from tests.clock import FakeClock
from tests.server import Server

P = ParamSpec("P")
T = TypeVar("T")


def beside(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something with the database as another process would, the command line for one."""

    async def run() -> T:
        database = open_database(settings)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


def write(settings: Settings, flow: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a writing flow as another process would."""
    return beside(settings, lambda database: database.write(flow, *args, **kwargs))


def rows(settings: Settings, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask the database through its bare driver, on a new connection; `?` stands for a value."""
    if settings.sqlite_file is not None:
        with closing(sqlite3.connect(settings.sqlite_file, isolation_level=None)) as connection:
            return connection.execute(query, values).fetchall()
    assert settings.database_url is not None
    for number in range(1, len(values) + 1):
        query = query.replace("?", f"${number}", 1)
    return asyncio.run(_ask_postgres(settings.database_url, query, values))


async def _ask_postgres(url: str, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()


def why_revoked(settings: Settings, session_id: str) -> str | None:
    """What the database says of a session's end; None for one that lives."""
    [(reason,)] = rows(settings, "SELECT revoked_because FROM sessions WHERE id = ?", session_id)
    return None if reason is None else str(reason)


def restarted(make_server: Callable[..., Server], before: Server, **options: Any) -> Server:
    """Stop a server and start another on its data; its clock goes on where the first one's stopped."""
    before.__exit__()

    def go_on(app: App) -> None:
        clock = app.clock
        assert isinstance(clock, FakeClock)
        clock.advance(seconds=(before.clock.now() - clock.now()).total_seconds())

    return make_server(like=before, change=go_on, **options)
