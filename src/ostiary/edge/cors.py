"""Letting scripts of other origins call the API: exact origins, none unless set (HT-5)."""

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ostiary.edge.headers import RawHeader
from ostiary.web.render import json_response

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_REQUEST_HEADERS = ("Authorization", "Content-Type")
_RESPONSE_HEADERS = ("RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID", "Link")
_BAD_REQUEST = 400


class CORS(CORSMiddleware):
    """Starlette's rules, asked by our edge, with refusals in the contract's form.

    No cookies are allowed: bearer tokens need none.
    """

    def __init__(self, *, origins: Sequence[str]) -> None:
        super().__init__(
            _no_application,
            allow_origins=list(origins),
            allow_methods=list(_METHODS),
            allow_headers=list(_REQUEST_HEADERS),
            expose_headers=list(_RESPONSE_HEADERS),
        )

    def is_preflight(self, scope: Scope) -> bool:
        """Say whether a browser asks before it lets a script call."""
        if scope["method"] != "OPTIONS":
            return False
        headers = Headers(scope=scope)
        return "origin" in headers and "access-control-request-method" in headers

    def answer_preflight(self, scope: Scope) -> Response:
        """Answer what a browser asks before it lets a script call."""
        response = self.preflight_response(Headers(scope=scope))
        if response.status_code != _BAD_REQUEST:
            return response
        kept = {
            name: value for name, value in response.headers.items() if name not in {"content-length", "content-type"}
        }
        return json_response({"detail": bytes(response.body).decode()}, _BAD_REQUEST, kept)

    def response_headers(self, scope: Scope) -> list[RawHeader]:
        """Answer what tells a browser who may read the answer; nothing where no script of another origin asks."""
        origin = Headers(scope=scope).get("origin")
        if origin is None or self.is_preflight(scope):
            return []
        headers = MutableHeaders(self.simple_headers)
        if self.is_allowed_origin(origin):
            self.allow_explicit_origin(headers, origin)
        return headers.raw


async def _no_application(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Stand where Starlette's middleware wants what is behind it; nothing is: the edge asks and answers itself."""
