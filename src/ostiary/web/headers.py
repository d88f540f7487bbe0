"""Headers that every response carries (HT-1), and those that tell a caller where he stands with the limits (RL-1)."""

from collections.abc import Awaitable, Iterable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostiary.counters import Verdict

RawHeader: TypeAlias = tuple[bytes, bytes]

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PAGE_HEADERS = {"Content-Security-Policy": PAGE_POLICY, "Cross-Origin-Opener-Policy": "same-origin"}
"""What a page sets on its response; the middleware adds the rest."""

_ONE_YEAR_SECONDS = 31_536_000

_CACHE_CONTROL = b"cache-control"
_CONTENT_SECURITY_POLICY = b"content-security-policy"


class SecurityHeaders:
    """Middleware that adds the headers of HT-1 to every response. It must be the outermost, so that errors pass it.

    A response that brings its own `Cache-Control` or `Content-Security-Policy` keeps it; the others are not for it to
    choose. `https` says whether the public URL is https, for only then may a browser be told to insist on it.
    """

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        always = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
        if https:
            hsts = b"max-age=%d; includeSubDomains" % _ONE_YEAR_SECONDS
            always.append((b"strict-transport-security", hsts))
        self._always = tuple(always)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its response back with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        def send_secured(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = self._secured(message.get("headers", ()))
            return send(message)

        await self._app(scope, receive, send_secured)

    def _secured(self, headers: Iterable[RawHeader]) -> list[RawHeader]:
        """Answer the headers of a response with ours added."""
        secured = [*headers, *self._always]
        names = [name.lower() for name, _ in secured]
        if _CACHE_CONTROL not in names:
            secured.append((_CACHE_CONTROL, b"no-store"))
        if _CONTENT_SECURITY_POLICY not in names:
            secured.append((_CONTENT_SECURITY_POLICY, API_POLICY.encode()))
        return secured


class Policy(NamedTuple):
    """A request limit as callers are told of it. The name must not need escaping (RFC 9651 §3.3.3)."""

    name: str
    limit: int
    window_seconds: int


def rate_limit_headers(*counted: tuple[Policy, Verdict]) -> list[RawHeader]:
    """Tell the limits a request was counted against and what is left of them (draft-ietf-httpapi-ratelimit-headers)."""
    states = ", ".join([f'"{policy.name}";r={state.remaining};t={state.reset_seconds}' for policy, state in counted])
    return [_policy_header(tuple([policy for policy, _ in counted])), (b"ratelimit", states.encode())]


@lru_cache(maxsize=64)
def _policy_header(policies: tuple[Policy, ...]) -> RawHeader:
    """Answer the header that lists limits; there are as many different ones as combinations of limits."""
    listed = ", ".join(f'"{policy.name}";q={policy.limit};w={policy.window_seconds}' for policy in policies)
    return b"ratelimit-policy", listed.encode()
