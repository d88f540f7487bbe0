"""The worker: takes mails from the outbox, puts them into words and hands them over, beside whatever is served (FL-4).

At least once: a mail is removed only when the other side has taken it. Several servers may work on one outbox.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection

from ostiary.clock import Clock
from ostiary.crypto.sealed import Sealer
from ostiary.db import Database, Unreachable
from ostiary.mail.outbox import (
    LEASE,
    Taken,
    give_back,
    give_up,
    is_any_due,
    next_try,
    open_content,
    postpone,
    remove,
    take_due,
)
from ostiary.mail.transport import Postponed, Refused, ServerAway, Session
from ostiary.metrics.declared import MAILS
from ostiary.metrics.figures import Metrics
from ostiary.tracing.switch import MakeSpan, no_span

if TYPE_CHECKING:
    from ostiary.mail.outgoing import Outgoing

EVERY_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 120.0
TAKEN_AT_ONCE = 20
SEND_SECONDS = 60
"""The most that connecting, or handing over one mail, may take."""
SETTLE_SECONDS = 60
WORK_SECONDS = LEASE.total_seconds() - 2 * SEND_SECONDS - SETTLE_SECONDS
"""For how long after taking mails one of them may be begun: it is done before the lease ends."""
GRACE_SECONDS = 5.0

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger(__name__)


class MailWorker:
    """The loop. Nothing that callers wait for depends on it."""

    def __init__(
        self,
        db: Database,
        sealer: Sealer,
        clock: Clock,
        load: "Callable[[], Outgoing]",
        metrics: Metrics,
        *,
        every_seconds: float = EVERY_SECONDS,
        span: MakeSpan = no_span,
    ) -> None:
        self._db = db
        self._sealer = sealer
        self._clock = clock
        self._load = load
        self._metrics = metrics
        self._span = span
        self._every_seconds = every_seconds
        self._outgoing: Outgoing | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin the loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the loop: the mail in hand may be finished, the others that were taken are given back."""
        self._stopping.set()
        if self._task is None:
            return
        _, unfinished = await asyncio.wait([self._task], timeout=GRACE_SECONDS)
        for task in unfinished:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        """Deliver until told to stop; look again at once after a success, and later and later while nothing works."""
        pause = self._every_seconds
        while not self._stopping.is_set():
            goes_on = False
            with self._metrics.jobs.round("mail") as current:
                try:
                    goes_on = await self._round()
                except (ServerAway, Unreachable) as problem:
                    current.result = "postponed"
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                    log.warning("mail_held_up", reason=problem.reason, pause_seconds=round(pause, 1))
                except Exception:
                    current.result = "failed"
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                    log.exception("mail_worker_failed")
                else:
                    pause = self._every_seconds
            if not goes_on:
                await self._rest(pause)

    async def _round(self) -> bool:
        """Take some mails and deliver them over one connection; answer whether there may be more.

        Raises ServerAway where none could be delivered for that, and Unreachable.
        """
        if not await self._db.read(is_any_due, now=self._clock.now()):
            return False
        outgoing = self._outgoing or await self._loaded()
        end = self._clock.monotonic() + WORK_SECONDS
        taken = await self._db.write(take_due, limit=TAKEN_AT_ONCE, now=self._clock.now())
        waiting = [mail for mail in taken if not await self._is_expired(mail)]
        delivered = 0
        try:
            if waiting:
                async with self._open(outgoing) as session:
                    while waiting and self._may_go_on(end):
                        mail = waiting.pop(0)
                        with self._span("deliver mail", {"ostiary.message": mail.message}):
                            delivered += await self._deliver(outgoing, session, mail)
        except ServerAway as away:
            if not delivered:
                raise
            log.info("mail_connection_lost", reason=away.reason)
        finally:
            if waiting:
                await self._db.write(give_back, waiting, now=self._clock.now())
        return bool(taken)

    async def _loaded(self) -> "Outgoing":
        """Load what writes letters, in a thread, because it takes long enough to be noticed."""
        self._outgoing = await asyncio.to_thread(self._load)
        return self._outgoing

    def _may_go_on(self, end: float) -> bool:
        return not self._stopping.is_set() and self._clock.monotonic() < end

    @asynccontextmanager
    async def _open(self, outgoing: "Outgoing") -> AsyncIterator[Session]:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    session = await stack.enter_async_context(outgoing.open())
            except TimeoutError:
                raise ServerAway("no connection in time") from None
            yield session

    async def _deliver(self, outgoing: "Outgoing", session: Session, mail: Taken) -> bool:
        """Deliver one mail, and settle what becomes of it; answer whether it is gone. Raises ServerAway."""
        try:
            # In a thread: a template is compiled when first used, which is long enough for others to notice.
            letter = await asyncio.to_thread(outgoing.letter, mail, open_content(mail, self._sealer))
        except Exception:
            log.exception("mail_unreadable", mail_id=mail.id, message=mail.message)
            await self._put_off(mail, "it cannot be put into words")
            return False
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await session.send(letter)
        except Refused as refused:
            await self._give_up(mail, refused.reason)
        except Postponed as postponed:
            await self._put_off(mail, postponed.reason)
        except (ServerAway, TimeoutError) as error:
            away = error if isinstance(error, ServerAway) else ServerAway("no answer in time")
            await self._put_off(mail, away.reason)
            raise away from None
        else:
            await self._settle(remove, mail)
            self._metrics.count(MAILS, "delivered")
            log.info(
                "mail_delivered", mail_id=mail.id, message=mail.message, user_id=mail.user_id, tries=mail.tries + 1
            )
            return True
        return False

    async def _is_expired(self, mail: Taken) -> bool:
        expired = self._clock.now() >= mail.expires_at
        if expired:
            await self._give_up(mail, "it is too late for it")
        return expired

    async def _put_off(self, mail: Taken, reason: str) -> None:
        """Try again later, unless it would be too late then."""
        until = next_try(mail, now=self._clock.now())
        if until >= mail.expires_at:
            await self._give_up(mail, reason)
            return
        await self._settle(postpone, mail, until=until)
        self._metrics.count(MAILS, "postponed")
        log.warning(
            "mail_postponed",
            mail_id=mail.id,
            message=mail.message,
            tries=mail.tries + 1,
            until=until.isoformat(),
            reason=reason,
        )

    async def _give_up(self, mail: Taken, reason: str) -> None:
        await self._settle(give_up, mail, now=self._clock.now())
        self._metrics.count(MAILS, "given_up")
        log.error(
            "mail_given_up",
            mail_id=mail.id,
            message=mail.message,
            user_id=mail.user_id,
            tries=mail.tries,
            reason=reason,
        )

    async def _settle(self, flow: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Write down what became of a mail, and insist for a while: forgotten, it would be sent a second time."""
        end = self._clock.monotonic() + SETTLE_SECONDS
        while True:
            try:
                return await self._db.write(flow, *args, **kwargs)
            except Unreachable:
                if not self._may_go_on(end):
                    raise
                await self._rest(1)

    async def _rest(self, seconds: float) -> None:
        """Wait, but not once told to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
