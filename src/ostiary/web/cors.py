"""Letting scripts of other origins call the API: exact origins, none unless set (HT-5)."""

from collections.abc import Callable, Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ostiary.web.render import json_response

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_REQUEST_HEADERS = ("Authorization", "Content-Type")
_RESPONSE_HEADERS = ("RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID", "Link")
_BAD_REQUEST = 400


class CORS(CORSMiddleware):
    """Starlette's, with refusals in the contract's form. No cookies are allowed: bearer tokens need none."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str], count: Callable[[ASGIApp], ASGIApp]) -> None:
        """Take the layer that counts requests, since what a browser asks beforehand goes no further than here."""
        super().__init__(
            app,
            allow_origins=list(origins),
            allow_methods=list(_METHODS),
            allow_headers=list(_REQUEST_HEADERS),
            expose_headers=list(_RESPONSE_HEADERS),
        )

        self._preflight = count(self._answer_preflight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a browser's question, or pass the request on and its answer back with the headers."""
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            headers = Headers(scope=scope)
            if "origin" in headers and "access-control-request-method" in headers:
                await self._preflight(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    async def _answer_preflight(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.preflight_response(Headers(scope=scope))(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer what a browser asks before it lets a script call."""
        response = super().preflight_response(request_headers)
        if response.status_code != _BAD_REQUEST:
            return response
        kept = {
            name: value for name, value in response.headers.items() if name not in {"content-length", "content-type"}
        }
        return json_response({"detail": bytes(response.body).decode()}, _BAD_REQUEST, kept)
