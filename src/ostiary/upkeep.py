"""What a running server does by itself every few seconds: keys, uses of sessions, and clearing away what expired."""

import asyncio
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from ostiary.context import App
from ostiary.credentials.one_time import purge
from ostiary.crypto.jose import generate_key
from ostiary.db import Unreachable
from ostiary.keys.flows import add_key_if_due, purge_keys
from ostiary.keys.models import all_keys
from ostiary.keys.schedule import is_due
from ostiary.login.throttle import purge_throttles
from ostiary.sessions.access import write_last_uses
from ostiary.sessions.ending import purge_sessions

EVERY_SECONDS = 5.0
PURGE_EVERY = timedelta(hours=1)
EXPIRED_KEPT_FOR = timedelta(days=7)
"""LA-4."""

log = structlog.get_logger(__name__)


class Upkeep:
    """The loop. A round that fails is logged and tried again; nothing that callers wait for depends on it."""

    def __init__(self, app: App, *, every_seconds: float = EVERY_SECONDS) -> None:
        self._app = app
        self._every_seconds = every_seconds
        self._purged_at: datetime | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin the loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the loop, and write down what it still holds."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._attempt()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_seconds)
            await self._attempt()

    async def _attempt(self) -> None:
        try:
            await self._round()
        except Unreachable as problem:
            log.warning("upkeep_postponed", reason=problem.reason)
        except Exception:
            log.exception("upkeep_failed")

    async def _round(self) -> None:
        app = self._app
        uses = app.last_uses.take()
        if uses:
            await app.db.write(write_last_uses, uses)
        await renew_keys(app)
        now = app.clock.now()
        if self._purged_at is None or now - self._purged_at >= PURGE_EVERY:
            await app.db.write(purge_expired, now=now)
            self._purged_at = now


async def renew_keys(app: App) -> None:
    """Make a signing key where one is due, and read the set as it is now (SK-4)."""
    algorithm, now = app.settings.signing_algorithm, app.clock.now()
    if is_due(await app.db.read(all_keys), algorithm=algorithm, now=now):
        key = await asyncio.to_thread(generate_key, algorithm)
        added = await app.db.write(add_key_if_due, key, app.sealer, now=now)
        if added is not None:
            log.info("signing_key_published", kid=added.kid, activates_at=added.activates_at.isoformat())
    await app.ring.read()


def purge_expired(connection: Connection, *, now: datetime) -> None:
    """Clear away what nothing can come of any more. No limit depends on it: those are judged at use."""
    purge_sessions(connection, before=now - EXPIRED_KEPT_FOR)
    purge(connection, before=now - EXPIRED_KEPT_FOR)
    purge_throttles(connection, now=now)
    purge_keys(connection, now=now)
