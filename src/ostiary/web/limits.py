"""Request limits and the caller's token, in the contract's order: address, token, user. Pure ASGI.

Both middlewares pass over endpoints that are not limited (probes and static files).
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostiary.clock import Clock
from ostiary.counters import SlidingWindows, Verdict
from ostiary.durations import Rate
from ostiary.problems import InvalidCredentials, Problem, RateLimited
from ostiary.web.caller import Caller, put_caller
from ostiary.web.headers import Policy, rate_limit_headers
from ostiary.web.render import problem_response
from ostiary.web.source import Network, Source, source_of

_SOURCE = "ostiary.source"
_COUNTED = "ostiary.counted"


class RequestLimit:
    """One of the two limits: counts requests under a key and knows how it is called."""

    def __init__(self, name: str, rate: Rate, clock: Clock) -> None:
        window_seconds = int(rate.window.total_seconds())
        self.policy = Policy(name, rate.limit, window_seconds)
        self._windows = SlidingWindows(rate.limit, window_seconds)
        self._clock = clock

    def count(self, scope: Scope, key: str | int) -> None:
        """Count a request. Raises RateLimited, whose Retry-After is kept."""
        verdict: Verdict = self._windows.hit(key, self._clock.monotonic())
        scope.setdefault(_COUNTED, []).append((self.policy, verdict))
        if not verdict.allowed:
            raise RateLimited(
                reason=f"over the limit for each {self.policy.name}: {key}",
                headers={"Retry-After": str(verdict.reset_seconds)},
            )


class Sources:
    """Middleware that finds out where a request comes from (RL-2)."""

    def __init__(self, app: ASGIApp, *, trusted: tuple[Network, ...]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Leave the source in the scope."""
        if scope["type"] == "http":
            peer = scope["client"][0] if scope.get("client") else None
            forwarded: list[str] = []
            if self._trusted:
                forwarded = [v.decode("latin-1") for name, v in scope["headers"] if name == b"x-forwarded-for"]
            scope[_SOURCE] = source_of(peer, forwarded, self._trusted)
        await self._app(scope, receive, send)


def route_path(scope: Scope) -> str:
    """Answer a request's path below the place where the application is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def source_in(scope: Scope) -> Source:
    """Answer where a request comes from."""
    source: Source = scope[_SOURCE]
    return source


class AddressLimit:
    """Middleware that counts requests by address and tells the limits on every counted response (RL-1)."""

    def __init__(self, app: ASGIApp, *, limit: RequestLimit | None, exempt: Callable[[str], bool]) -> None:
        self._app = app
        self._limit = limit
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count, or refuse."""
        if self._limit is None or scope["type"] != "http" or self._exempt(route_path(scope)):
            await self._app(scope, receive, send)
            return

        def send_with_limits(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *rate_limit_headers(*scope[_COUNTED])]
            return send(message)

        try:
            self._limit.count(scope, source_in(scope).key)
        except RateLimited as problem:
            await refuse(problem, scope, receive, send_with_limits)
        else:
            await self._app(scope, receive, send_with_limits)


class Callers:
    """Middleware that recognises whoever brings a token, before anything else is looked at, and counts him."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        identify: Callable[[str], Awaitable[Caller]],
        limit: RequestLimit | None,
        exempt: Callable[[str], bool],
    ) -> None:
        self._app = app
        self._identify = identify
        self._limit = limit
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Leave the caller in the scope, or refuse."""
        if scope["type"] == "http" and not self._exempt(route_path(scope)):
            try:
                token = bearer_token(scope["headers"])
                if token is not None:
                    caller = await self._identify(token)
                    put_caller(scope, caller)
                    if self._limit is not None:
                        self._limit.count(scope, caller.user_id)
            except Problem as problem:
                await refuse(problem, scope, receive, send)
                return
        await self._app(scope, receive, send)


def bearer_token(headers: Collection[tuple[bytes, bytes]]) -> str | None:
    """Answer the token of a request; None where it brings no `Authorization` (RFC 6750 §2.1).

    Raises InvalidCredentials for two such headers, another scheme, or one without a token.
    """
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        return None
    scheme, _, token = values[0].partition(b" ")
    if len(values) > 1 or scheme.lower() != b"bearer":
        raise InvalidCredentials(reason="Authorization is not one bearer token")
    return token.strip(b" ").decode("latin-1")


async def refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a problem, and leave its reason for the request log."""
    note_problem(scope, problem)
    await problem_response(problem)(scope, receive, send)


def note_problem(scope: Scope, problem: Problem) -> None:
    """Leave the reason of a refusal for the request log."""
    scope["ostiary.reason"] = problem.reason or problem.code or type(problem).__name__


def reason_in(scope: Scope) -> Any:
    """Answer the reason of a refusal, if the request was refused."""
    return scope.get("ostiary.reason")
