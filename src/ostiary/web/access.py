"""Who may call: what an endpoint declares is checked here, before its handler, on every way that leads to it (AD-2)."""

from starlette.requests import Request
from starlette.responses import Response

from ostiary.web.caller import caller_of
from ostiary.web.endpoint import Access, Endpoint, Handler


def guarded(endpoint: Endpoint) -> Handler:
    """Let the handler run only for whom the endpoint declares."""
    if endpoint.access is Access.PUBLIC:
        return endpoint.handler

    async def handler(request: Request) -> Response:
        caller_of(request)
        return await endpoint.handler(request)

    return handler
