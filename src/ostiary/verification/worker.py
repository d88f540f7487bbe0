"""What becomes of mails that somebody asked for: the loop that answers requests, off every caller's path (SU-6)."""

import asyncio
from datetime import datetime

import structlog
from sqlalchemy import Connection

from ostiary.context import App
from ostiary.credentials.mailed import mail_verification
from ostiary.db import Unreachable, read_committed
from ostiary.mail.languages import choose_language
from ostiary.problems import InvalidCredentials
from ostiary.sessions.gate import admit_user
from ostiary.users.address import is_service_address
from ostiary.users.models import User, lock_user, user_by_email_key
from ostiary.users.profiles import language_of, verified_at
from ostiary.verification.asking import KEPT_FOR, MailRequest, Wanted, take, waiting
from ostiary.verification.recovery import start_reset

EVERY_SECONDS = 0.5
AT_ONCE = 100

log = structlog.get_logger(__name__)


class AskedMails:
    """The loop. Each request is one transaction, so several servers could answer; the one that has the lease does.

    Where the limits of SU-6 are counted in memory, they hold because one process counts.
    """

    def __init__(self, app: App, *, every_seconds: float = EVERY_SECONDS) -> None:
        self._app = app
        self._every_seconds = every_seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin the loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the loop. What still waits is answered by another server, or after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await self._app.metrics.jobs.attempt("asked_mails", self._round, called="asked_mails")
            await asyncio.sleep(self._every_seconds)

    async def _round(self) -> None:
        """Answer everything that waits. One that cannot be answered is dropped, so that it holds up no other."""
        app = self._app
        while app.upkeep_lease.is_held and (requests := await app.db.read(waiting, limit=AT_ONCE)):
            for request in requests:
                # Counted whatever comes of it, and outside the transaction, which may run twice.
                allowed = await app.mail_limits.allowed(address=request.email_key, source=request.source)
                try:
                    await app.db.write(answer, app, request, allowed=allowed, now=app.clock.now())
                except Unreachable:
                    raise
                except Exception:
                    log.exception("asked_mail_dropped", wanted=request.wanted.value)
                    await app.db.write(take, request.id)


@read_committed(why="the request's row is taken first and the user's is locked; nothing else is decided upon")
def answer(connection: Connection, app: App, request: MailRequest, *, allowed: bool, now: datetime) -> None:
    """Take a request away, and mail what it asks for where somebody has the address and may have it.

    `allowed` says whether it is within the limits. Beyond them nothing happens: the link sent before stays good.
    """
    if not take(connection, request.id) or not allowed or now - request.requested_at >= KEPT_FOR:
        return
    user = _who_may(connection, request.email_key)
    if user is None:
        return
    language = choose_language(language_of(connection, user.id), request.language)
    if request.wanted is Wanted.RESET:
        start_reset(connection, app, user, request.origin, language=language, now=now)
    elif verified_at(connection, user.id) is None:
        mail_verification(connection, app, user, language=language, now=now)


def _who_may(connection: Connection, email_key: str) -> User | None:
    """Answer the user of an address, locked, if he may act (D1)."""
    found = user_by_email_key(connection, email_key)
    user = None if found is None else lock_user(connection, found.id)
    # Between the two he may have changed his address: what was asked for is a mail to the address that was named.
    if user is None or found is None or user.email != found.email or is_service_address(user.email):
        return None
    try:
        admit_user(is_active=user.is_active)
    except InvalidCredentials:
        return None
    return user
