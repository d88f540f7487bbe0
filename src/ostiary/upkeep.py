"""What a running server does by itself every few seconds: keys, uses of sessions, and clearing away what expired.

Every server writes down what it alone knows. Folding and clearing away is for the one that has the lease; a second
that believes to have it too finds each slice already gone.
"""

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from ostiary.api_keys.ending import purge_keys as purge_api_keys
from ostiary.api_keys.recognition import write_key_uses
from ostiary.audit.erasure import (
    PERSONAL_KEPT_FOR,
    ROWS_KEPT_FOR,
    finish_erasures,
    forget_origins,
    remove_rows,
)
from ostiary.context import App
from ostiary.credentials.one_time import purge_tokens
from ostiary.crypto.jwk import generate_key
from ostiary.db import Unreachable
from ostiary.db.schema import found
from ostiary.keys.flows import add_key_if_due, purge_keys
from ostiary.keys.models import all_keys
from ostiary.keys.schedule import is_due
from ostiary.login.places import purge_places
from ostiary.login.throttle import purge_sources, purge_throttles
from ostiary.sessions.access import write_last_uses
from ostiary.sessions.ending import forget_addresses, purge_sessions, with_old_addresses
from ostiary.users.counting import fold_counts
from ostiary.verification.addresses import purge_email_changes
from ostiary.verification.invitations import purge_invitations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

EVERY_SECONDS = 5.0
UPKEEP = "upkeep"
"""The name of the lease."""
PURGE_EVERY = timedelta(hours=1)
PURGED_AT_ONCE = 2000
FOLDED_AT_ONCE = 2000
EXPIRED_KEPT_FOR = timedelta(days=7)
"""LA-4."""
ADDRESSES_KEPT_FOR = timedelta(days=90)
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
        await self._round()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_seconds)
            await self._look_at_schema()
            await self._round()

    async def _look_at_schema(self) -> None:
        """See whether a newer version changed the schema: one that this must not touch is left alone from now on."""
        try:
            self._app.database_check.heed(*await self._app.db.read(found))
        except Unreachable:
            pass  # whatever comes next says so
        except Exception:
            log.exception("upkeep_failed")

    async def _round(self) -> None:
        """Do every step, whatever happens to the others; keys first, since revoking one cannot wait."""
        for name, step in (
            ("keys", partial(renew_keys, self._app)),
            ("last_uses", self._write_last_uses),
            ("counts", self._fold_counts),
            ("purge", self._purge),
        ):
            await self._app.metrics.jobs.attempt(name, step, called="upkeep")

    async def _write_last_uses(self) -> None:
        uses = self._app.last_uses.take()
        if uses:
            await self._app.db.write(write_last_uses, uses)
        uses = self._app.key_uses.take()
        if uses:
            await self._app.db.write(write_key_uses, uses)

    async def _fold_counts(self) -> None:
        """Keep short what every list of users reads beside the counts."""
        fold = partial(self._app.db.write, fold_counts, limit=FOLDED_AT_ONCE)
        await self._in_slices(fold, most=FOLDED_AT_ONCE)

    async def _purge(self) -> None:
        """Clear away what nothing can come of any more. No limit depends on it: those are judged at use."""
        app, now = self._app, self._app.clock.now()
        if self._purged_at is not None and now - self._purged_at < PURGE_EVERY:
            return
        if not await app.upkeep_lease.hold():
            return
        expired = now - EXPIRED_KEPT_FOR
        await app.db.write(purge_keys, now=now)
        for purge in (
            partial(purge_sessions, before=expired),
            partial(purge_tokens, before=expired),
            partial(purge_api_keys, before=expired),
            partial(purge_invitations, before=expired),
            partial(purge_email_changes, before=expired),
            partial(purge_throttles, now=now),
            partial(purge_sources, now=now),
            partial(purge_places, now=now),
        ):
            await self._in_slices(partial(app.db.write, purge, limit=PURGED_AT_ONCE), most=PURGED_AT_ONCE)
        await self._forget_addresses(now - ADDRESSES_KEPT_FOR)
        await self._clear_audit_log(now)
        self._purged_at = now

    async def _forget_addresses(self, before: datetime) -> None:
        """Forget where sessions came from that began before a moment; looked for beside the one who writes."""
        db = self._app.db
        while ids := await db.read(with_old_addresses, begun_before=before, limit=PURGED_AT_ONCE):
            if not await self._app.upkeep_lease.hold():
                return
            await db.write(forget_addresses, ids)

    async def _clear_audit_log(self, now: datetime) -> None:
        """Take personal data, and in the end whole rows, out of the audit log (LA-4)."""
        db, keys, most = self._app.db, self._app.audit_keys, PURGED_AT_ONCE
        for step in (
            partial(db.write, finish_erasures, now=now, limit=most),
            partial(db.write, forget_origins, before=now - PERSONAL_KEPT_FOR, limit=most),
            partial(db.write, remove_rows, keys, before=now - ROWS_KEPT_FOR, limit=most),
        ):
            await self._in_slices(step, most=most)

    async def _in_slices(self, step: "Callable[[], Awaitable[int]]", *, most: int) -> None:
        """Repeat a step, under the lease, while it finds as much as it may take: nobody waits long behind a slice."""
        while await self._app.upkeep_lease.hold() and await step() == most:
            pass


async def let_go(app: App) -> None:
    """Let another server have the lease without waiting for its end."""
    try:
        await app.upkeep_lease.give_up()
    except Unreachable as problem:
        log.warning("lease_kept", reason=problem.reason)


async def renew_keys(app: App) -> None:
    """Make a signing key where one is due, and read the set as it is now (SK-4)."""
    algorithm, now = app.settings.signing_algorithm, app.clock.now()
    if is_due(await app.db.read(all_keys), algorithm=algorithm, now=now):
        key = await asyncio.to_thread(generate_key, algorithm)
        added = await app.db.write(add_key_if_due, key, app.sealer, now=now)
        if added is not None:
            log.info("signing_key_published", kid=added.kid, activates_at=added.activates_at.isoformat())
    await app.ring.read()
