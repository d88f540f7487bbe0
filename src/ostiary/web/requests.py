"""An id for every request, a line in the log, and the last resort for what nobody handled. Pure ASGI."""

import re
import secrets
from collections.abc import Awaitable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostiary.clock import Clock
from ostiary.web.caller import caller_in
from ostiary.web.limits import reason_in, source_in
from ostiary.web.render import json_response
from ostiary.web.source import Network, is_trusted

log = structlog.get_logger("ostiary.request")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,128}")


class LastResort:
    """Turns an unhandled error into the contract's 500, and logs it (FL-6)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer 500 in place of an error, where nothing was answered yet."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_answered = False

        def send_and_note(message: Message) -> Awaitable[None]:
            nonlocal is_answered
            is_answered = True
            return send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            log.exception("unhandled_error", method=scope["method"], path=scope["path"])
            if is_answered:
                raise  # the server cuts the connection, so that nobody takes the answer for whole
            await json_response({"detail": "Internal server error"}, 500)(scope, receive, send)


class RequestLog:
    """Gives every request an id and a line in the log (LA-1)."""

    def __init__(self, app: ASGIApp, *, trusted: tuple[Network, ...], clock: Clock, access_log: bool) -> None:
        self._app = app
        self._trusted = trusted
        self._clock = clock
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its answer back with the id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._request_id(scope)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started_at = self._clock.monotonic()
        status = 0

        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            return send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if self._access_log:
                _log_request(scope, status, self._clock.monotonic() - started_at)
            structlog.contextvars.unbind_contextvars("request_id")

    def _request_id(self, scope: Scope) -> str:
        """Take over a trusted proxy's id, or make one."""
        if self._trusted and scope.get("client") and is_trusted(scope["client"][0], self._trusted):
            for name, value in scope["headers"]:
                if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                    return str(value, "ascii")
        return secrets.token_hex(8)


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    """One line; the query is left out, since people put secrets there."""
    caller = caller_in(scope)
    log.info(
        "request",
        method=scope["method"],
        path=scope["path"],
        status=status or 499,  # nginx's number for a caller who went away
        ms=round(seconds * 1000, 1),
        source=source_in(scope).address,
        user_id=caller.user_id if caller else None,
        reason=reason_in(scope),
    )
