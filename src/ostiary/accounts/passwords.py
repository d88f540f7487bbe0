"""Changing one's password (PW-7)."""

from datetime import datetime

import structlog
from sqlalchemy import Connection

from ostiary.accounts.own import read_profile
from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.context import App
from ostiary.credentials.models import set_password
from ostiary.credentials.one_time import void_tokens_of
from ostiary.credentials.strength import check_shape, check_strength
from ostiary.crypto.passwords import StoredPassword
from ostiary.db import read_committed
from ostiary.edge.source import Source
from ostiary.login.proof import Proof, prove_password, settle
from ostiary.mail.messages import PasswordChanged
from ostiary.mail.outbox import tell
from ostiary.sessions.ending import PASSWORD_CHANGED, end_other_sessions
from ostiary.sessions.refresh import admitted, lock_sessions
from ostiary.users.models import User
from ostiary.web.caller import Caller

log = structlog.get_logger(__name__)


async def change_password(app: App, caller: Caller, *, current: str, new: str, origin: Origin, source: Source) -> None:
    """Give the caller, who knows his password, a new one; his other sessions end.

    Raises InvalidPassword, PasswordRefused, Unavailable; InvalidCredentials where the gate does.
    """
    user = (await app.db.read(read_profile, caller.user_id)).user
    # What the new one is worth is looked at first: for one that is refused, nobody has to prove anything.
    check_shape(new, min_length=app.settings.password_min_length)
    await app.hasher.judge(check_strength, new, email=user.email, username=user.username, breached=app.breached)

    async def act(proof: Proof) -> int:
        password = await app.hasher.hash(new)
        return await app.db.write(
            complete, app, user, proof, caller.session_id, password, origin=origin, now=app.clock.now()
        )

    ended = await prove_password(app, caller, current, source=source, origin=origin, act=act)
    log.info("password_changed", user_id=caller.user_id, session_id=caller.session_id, sessions=ended)


@read_committed(why="user, password and own session are locked before they are judged; the rest is one statement each")
def complete(
    connection: Connection,
    app: App,
    user: User,
    proof: Proof,
    session_id: str,
    password: StoredPassword,
    *,
    origin: Origin,
    now: datetime,
) -> int:
    """Set the new password, end all that the old one may have opened but this session, and tell the user's address.

    API keys stay: none of them rests on the password. Answers how many sessions ended. Raises Superseded;
    InvalidCredentials where the gate does.
    """
    settle(connection, proof)
    admitted(lock_sessions(connection, {session_id}).get(session_id), user.id, app.demands, now)
    set_password(connection, user.id, password, now=now)
    void_tokens_of(connection, user.id)
    ended = end_other_sessions(connection, user.id, session_id, because=PASSWORD_CHANGED, now=now)
    notice = PasswordChanged(username=user.username, at=now, source=origin.address, device=origin.user_agent)
    tell(connection, user, notice, sealer=app.sealer, now=now)
    record(connection, Event.PASSWORD_CHANGED, origin, user_id=user.id, details={"sessions": ended}, now=now)
    return ended
