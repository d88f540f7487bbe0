"""A forgotten password: a link is mailed, and whoever presents its token sets a new one (RC-1 to RC-3, SU-4)."""

from datetime import datetime

import structlog
from sqlalchemy import Connection

from ostiary.api_keys.ending import end_keys
from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.context import App
from ostiary.credentials.mailed import RESET_PASSWORD, issue_to
from ostiary.credentials.models import set_password
from ostiary.credentials.one_time import void_tokens_of
from ostiary.crypto.passwords import StoredPassword
from ostiary.db import read_committed
from ostiary.edge.source import Source
from ostiary.login.signup import prepare_password
from ostiary.login.throttle import recovered
from ostiary.mail.messages import PasswordChanged, ResetPassword
from ostiary.mail.outbox import tell
from ostiary.sessions.ending import end_all_sessions
from ostiary.users.models import User
from ostiary.users.profiles import mark_verified
from ostiary.verification.redeeming import holder_of, redeem

log = structlog.get_logger(__name__)


def start_reset(
    connection: Connection,
    app: App,
    user: User,
    origin: Origin,
    *,
    by: str | None = None,
    language: str | None = None,
    now: datetime,
) -> None:
    """Mail a user, whose row is locked, the link by which he sets a new password, in place of earlier ones.

    `by` names the administrator who starts it; he never sees a password, nor the link (RC-4). `language` is that of
    the request, for a user who has not chosen one. An account that has no password yet gets its first one so.
    """
    token = issue_to(connection, RESET_PASSWORD, user, now=now)
    message = ResetPassword(username=user.username, token=token, valid_for=RESET_PASSWORD.lifetime, by=by)
    tell(connection, user, message, sealer=app.sealer, language=language, now=now)
    record(connection, Event.PASSWORD_RESET_STARTED, origin, user_id=user.id, now=now)


async def reset_password(app: App, *, token: str, new_password: str, origin: Origin, source: Source) -> None:
    """Set a new password for whoever presents a live token. Nobody is logged in by it (RC-3).

    Raises TokenInvalid, PasswordRefused, Unavailable; whatever is refused leaves the token as it was.
    """
    user = await app.db.read(holder_of, RESET_PASSWORD, token, now=app.clock.now())
    password = await prepare_password(app, new_password, email=user.email, username=user.username)
    await app.db.write(replace_forgotten, app, token, password, origin, source, now=app.clock.now())
    log.info("password_reset", user_id=user.id)


@read_committed(why="the user's row is locked first, and all that is written is his; one write uses the token up")
def replace_forgotten(
    connection: Connection,
    app: App,
    token: str,
    password: StoredPassword,
    origin: Origin,
    source: Source,
    *,
    now: datetime,
) -> None:
    """Use the token up, set the password, and end everything that the old one may have opened. Raises TokenInvalid.

    That the mail arrived proves the address as well.
    """
    user = redeem(connection, RESET_PASSWORD, token, now=now)
    set_password(connection, user.id, password, now=now)
    mark_verified(connection, user.id, now=now)
    ended = end_all_sessions(connection, user.id, because="password_reset", now=now)
    keys = end_keys(connection, user.id)
    void_tokens_of(connection, user.id)
    recovered(connection, user.id, source, now=now)
    origin = origin.by(user.id)
    notice = PasswordChanged(
        username=user.username, at=now, source=origin.address, device=origin.user_agent, by_reset=True
    )
    tell(connection, user, notice, sealer=app.sealer, now=now)
    record(
        connection,
        Event.PASSWORD_RESET,
        origin,
        user_id=user.id,
        details={"sessions": ended, "api_keys": keys},
        now=now,
    )
