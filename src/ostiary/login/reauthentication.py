"""Authenticating again, without signing out, for what asks for a session that was authenticated a moment ago (MF-4)."""

from datetime import datetime

import structlog
from sqlalchemy import Connection

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.context import App
from ostiary.db import read_committed
from ostiary.edge.source import Source
from ostiary.login.proof import Proof, prove_password, settle
from ostiary.sessions.beginning import renew_session
from ostiary.sessions.refresh import Rotation
from ostiary.sessions.tokens import TokenPair
from ostiary.web.caller import Caller

log = structlog.get_logger(__name__)


async def reauthenticate(app: App, caller: Caller, *, password: str, source: Source, origin: Origin) -> TokenPair:
    """Verify the caller's password and give his session new tokens, with the present moment as `auth_time`.

    Raises InvalidPassword; InvalidCredentials where the gate does; Unavailable when full.
    """

    async def act(proof: Proof) -> Rotation:
        return await app.db.write(complete, app, proof, caller.session_id, origin=origin, now=app.clock.now())

    renewed = await prove_password(app, caller, password, source=source, origin=origin, act=act)
    log.info("reauthenticated", user_id=caller.user_id, session_id=caller.session_id, source=source.address)
    access_token = app.tokens.mint_access(renewed.held, now=app.clock.now())
    return TokenPair(access_token, renewed.refresh_token)


@read_committed(why="user, password and session are locked before they are judged; nothing else is read")
def complete(
    connection: Connection, app: App, proof: Proof, session_id: str, *, origin: Origin, now: datetime
) -> Rotation:
    """Renew the session of a user whose password was right.

    Raises Superseded; InvalidCredentials where the gate does.
    """
    settle(connection, proof)
    details = {"session": session_id}
    record(connection, Event.REAUTHENTICATED, origin, user_id=proof.user_id, details=details, now=now)
    return renew_session(
        connection,
        session_id,
        proof.user_id,
        tokens=app.tokens,
        lifetimes=app.lifetimes,
        demands=app.demands,
        now=now,
    )
