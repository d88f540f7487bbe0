"""Doing things with a database that is opened for it, in an event loop of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ostiary.db import Database, open_database
from ostiary.settings import Settings

T = TypeVar("T")


def on_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Open the database that the settings name, do some work with it, close it."""

    async def run() -> T:
        database = open_database(settings)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())
