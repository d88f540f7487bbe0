"""Counting requests and mails against a limit, in the memory of one process or for all nodes in a store they share."""

from ostiary.counters.counting import Counters, Limit
from ostiary.counters.store import Away, Hit, Store
from ostiary.counters.windows import SlidingWindows, Verdict
from ostiary.db import Database
from ostiary.settings import Settings

__all__ = ["Away", "Counters", "Hit", "Limit", "SlidingWindows", "Store", "Verdict", "open_store"]


def open_store(settings: Settings, db: Database) -> Store | None:
    """Answer the store that the settings name, None for memory; nothing is connected yet. Raises Misconfigured."""
    if settings.rate_limit_store == "redis" and settings.redis_url is not None:
        from ostiary.counters.redis import RedisStore  # noqa: PLC0415 - loaded only where it is used

        return RedisStore(settings.redis_url, installation=settings.public_url)
    if settings.rate_limit_store == "database" and settings.database_url is not None:
        from ostiary.counters.postgres import PostgresStore  # noqa: PLC0415 - loaded only where it is used

        return PostgresStore(settings.database_url, db, statement_cache=settings.database_statement_cache)
    return None
