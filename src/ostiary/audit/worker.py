"""The worker: writes refusals down, gives rows their places within a second, and signs checkpoints."""

import asyncio
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from ostiary.audit.refusals import Refusals, write_refusals
from ostiary.audit.sealing.chain import SealingKeys
from ostiary.audit.sealing.checkpoints import FILE, append, checkpoint_of
from ostiary.audit.sealing.flows import oldest_unplaced, seal, stored_head
from ostiary.clock import Clock
from ostiary.db import Database
from ostiary.db.leases import Lease
from ostiary.metrics.figures import Jobs

EVERY_SECONDS = 0.4
"""Twice this, and what sealing takes, is within LA-3's second."""
SEALED_AT_ONCE = 1000
CHECKPOINT_EVERY = timedelta(minutes=1)
"""A checkpoint is some 200 bytes: this is at most 110 MB in 400 days, and nothing where nothing happens."""

log = structlog.get_logger(__name__)


async def seal_all(db: Database, keys: SealingKeys, clock: Clock) -> int:
    """Give every row that waits a place; answer how many waited. Raises Unreachable."""
    sealed = 0
    if await db.read(oldest_unplaced) is not None:
        while True:
            count = await db.write(seal, keys, limit=SEALED_AT_ONCE, now=clock.now())
            sealed += count
            if count < SEALED_AT_ONCE:
                break  # in slices, so that nobody waits long behind one
    return sealed


class AuditWorker:
    """The loop. Several servers have one each, and the head lets one at a time seal.

    The one that has the lease seals what waits at once. Should it be gone, paused or busy, whoever sees a row wait for
    a second time does: no row waits for a lease to end.
    """

    def __init__(
        self,
        db: Database,
        keys: SealingKeys,
        refusals: Refusals,
        lease: Lease,
        clock: Clock,
        data_dir: Path,
        jobs: Jobs,
        *,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._db = db
        self._keys = keys
        self._refusals = refusals
        self._lease = lease
        self._clock = clock
        self._jobs = jobs
        self._file = data_dir / FILE
        self._every_seconds = every_seconds
        self._task: asyncio.Task[None] | None = None
        self._seen_waiting: str | None = None
        self._checkpoint_place = -1
        self._checkpoint_at: datetime | None = None

    def start(self) -> None:
        """Begin the loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the loop, and seal what is there."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._round(is_last=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_seconds)
            await self._round(is_last=False)

    async def _round(self, *, is_last: bool) -> None:
        for name, step in (
            ("audit_refusals", self._write_refusals),
            ("audit_seal", self._seal),
            ("audit_checkpoint", self._sign),
        ):
            await self._jobs.attempt(name, partial(step, is_last=is_last), called="audit")

    async def _write_refusals(self, *, is_last: bool) -> None:
        refusals = self._refusals.take(now=self._clock.now(), everything=is_last)
        if not refusals:
            return
        try:
            await self._db.write(write_refusals, refusals)
        except BaseException:  # the loop may be ended meanwhile: the last round writes them
            self._refusals.put_back(refusals)
            raise

    async def _seal(self, *, is_last: bool) -> None:
        waiting = await self._db.read(oldest_unplaced)
        if waiting is not None and (is_last or self._lease.is_held or waiting == self._seen_waiting):
            await seal_all(self._db, self._keys, self._clock)
        self._seen_waiting = waiting

    async def _sign(self, *, is_last: bool) -> None:
        """Sign a checkpoint where the head has moved, now and then; the first one as soon as there is a head."""
        now = self._clock.now()
        if not is_last and self._checkpoint_at is not None and abs(now - self._checkpoint_at) < CHECKPOINT_EVERY:
            return
        stored = await self._db.read(stored_head)
        if stored is None:
            return
        self._checkpoint_at = now
        if stored.head.place == self._checkpoint_place:
            return
        if not self._keys.holds_head(stored.head, stored.seal, stored.key):
            return  # what is not ours is not vouched for
        checkpoint = checkpoint_of(stored.head, self._keys, now=now)
        await asyncio.to_thread(append, self._file, checkpoint)
        self._checkpoint_place = stored.head.place
        log.info("audit_checkpoint", **checkpoint._asdict())
