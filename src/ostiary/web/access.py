"""Who may call: what an endpoint declares is checked here, before its handler, on every way that leads to it (AD-2)."""

from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from ostiary.problems import Forbidden, SessionRequired
from ostiary.web.caller import Caller, caller_of
from ostiary.web.endpoint import Access, Endpoint, Handler, app_of

RECENT_WINDOW = timedelta(minutes=5)
"""So long ago somebody may have proven who he is, where an endpoint asks for RECENT (MF-4)."""


class ReauthenticationRequired(Forbidden):
    """The session was not authenticated in the last 5 minutes: see POST /auth/reauthenticate (MF-4)."""

    detail = "Authenticate again before doing this"
    code = "reauthentication_required"


def guarded(endpoint: Endpoint) -> Handler:
    """Let the handler run only for whom the endpoint declares."""
    permission, takes_api_keys = endpoint.permission, endpoint.takes_api_keys
    if endpoint.access is Access.PUBLIC and permission is None:
        return endpoint.handler

    async def handler(request: Request) -> Response:
        caller = caller_of(request)
        if not (caller.has_session or takes_api_keys):
            raise SessionRequired(reason=f"API key {caller.key_id} of user {caller.user_id} where a session is needed")
        if permission is not None and not caller.may(permission):
            raise Forbidden(reason=f"user {caller.user_id} lacks {permission}")
        if endpoint.access is Access.RECENT:
            demand_recent(caller, app_of(request).clock.now())
        return await endpoint.handler(request)

    return handler


def demand_recent(caller: Caller, now: datetime) -> None:
    """Let somebody pass who has just proven who he is. Raises ReauthenticationRequired.

    A clock that was stepped back must not make an old proof young again (FL-5).
    """
    if abs(now - caller.authenticated_at) >= RECENT_WINDOW:
        raise ReauthenticationRequired
