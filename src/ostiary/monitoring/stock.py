"""What metrics tell of the database's content, asked at most once a second however many ask for metrics."""

from datetime import datetime
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from ostiary.audit.sealing.flows import unplaced
from ostiary.clock import Clock
from ostiary.db import Database, Unreachable
from ostiary.db.coalescer import SharedAnswer
from ostiary.db.schema import current_revision
from ostiary.mail.outbox import all_waiting
from ostiary.users.counting import count_users

ASKED_AT_MOST_EVERY_SECONDS = 1.0
TIME_LIMIT_SECONDS = 2.0
"""Prometheus waits ten seconds by default; the other figures are worth having while the database hangs."""

log = structlog.get_logger(__name__)


class Stock(NamedTuple):
    """What there is, at one moment."""

    revision: str | None
    users: int
    mails: int
    oldest_mail: datetime | None
    unsealed: int
    oldest_unsealed: datetime | None


def take_stock(connection: Connection) -> Stock:
    """Count everything in one snapshot."""
    return Stock(current_revision(connection), count_users(connection), *all_waiting(connection), *unplaced(connection))


class Stocktaking:
    """One shared answer for all who ask."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._asked = SharedAnswer(
            self._ask, clock, every_seconds=ASKED_AT_MOST_EVERY_SECONDS, patience_seconds=TIME_LIMIT_SECONDS
        )

    async def take(self) -> Stock | None:
        """Answer what there is; None where the database does not say, or not in time."""
        return await self._asked.get()

    async def _ask(self) -> Stock | None:
        try:
            return await self._db.read(take_stock)
        except Unreachable:
            return None
        except Exception:
            log.exception("stocktaking_failed")
            return None
