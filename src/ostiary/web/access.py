"""Who may call: what an endpoint declares is checked here, before its handler, on every way that leads to it (AD-2)."""

from starlette.requests import Request
from starlette.responses import Response

from ostiary.problems import Forbidden
from ostiary.web.caller import caller_of
from ostiary.web.endpoint import Access, Endpoint, Handler


def guarded(endpoint: Endpoint) -> Handler:
    """Let the handler run only for whom the endpoint declares."""
    permission = endpoint.permission
    if endpoint.access is Access.PUBLIC and permission is None:
        return endpoint.handler

    async def handler(request: Request) -> Response:
        caller = caller_of(request)
        if permission is not None and not caller.may(permission):
            raise Forbidden(reason=f"user {caller.user_id} lacks {permission}")
        return await endpoint.handler(request)

    return handler
