"""The HTTP edge: what every request passes before its handler, and every answer after it, in the contract's order.

    source ─ id ─ limit per address ─ token ─ limit per user ─┬─ hot lane ─ handler ────────────────────────┐
                                                              └─ FastAPI: routing ─ access ─ handler ───────┤
                        log line ─ security headers, limits, id ◀───────────────────────────────────────────┘

The busiest calls take the hot lane: they are found by method and path, and their handlers are called directly. They
are the same handlers, behind the same access checks, that FastAPI's routes call; what is skipped is the machinery that
finds them. Pure ASGI, and one function for all steps, because each layer of its own would cost every request.
"""

from collections.abc import Awaitable, Callable, Iterable

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostiary.clock import Clock
from ostiary.db.database import Allowance, allowance
from ostiary.edge.cors import CORS
from ostiary.edge.exchange import REFUSAL, sent_whole
from ostiary.edge.headers import SecurityHeaders, rate_limit_headers
from ostiary.edge.lane import HotLane
from ostiary.edge.limits import RequestLimit, bearer_token, counted_in
from ostiary.edge.requests import begin_request, log_request, note_problem, problem_in, request_ids
from ostiary.edge.source import Network, find_source
from ostiary.metrics.requests import RequestFigures
from ostiary.problems import Problem
from ostiary.web.caller import Caller, put_caller
from ostiary.web.endpoint import Endpoint
from ostiary.web.render import JSON, json_response, problem_response

log = structlog.get_logger(__name__)


class Edge:
    """Stands before the whole application, so that every answer passes it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        endpoints: Iterable[Endpoint],
        identify: Callable[[str], Awaitable[Caller]],
        clock: Clock,
        headers: SecurityHeaders,
        per_address: RequestLimit | None,
        per_user: RequestLimit | None,
        trusted: tuple[Network, ...] = (),
        cors: CORS | None = None,
        access_log: bool = True,
        refused: Callable[[Scope, Problem], None] | None = None,
        figures: RequestFigures | None = None,
    ) -> None:
        endpoints = tuple(endpoints)
        self._app = app
        self._lane = HotLane(endpoints)
        self._exempt = frozenset(endpoint.path for endpoint in endpoints if not endpoint.is_limited)
        self._judging = frozenset(endpoint.path for endpoint in endpoints if endpoint.judges_token)
        self._identify = identify
        self._clock = clock
        self._headers = headers
        self._per_address = per_address
        self._per_user = per_user
        self._trusted = trusted
        self._cors = cors
        self._access_log = access_log
        self._refused = refused
        self._figures = figures
        self._ids = request_ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; whatever goes wrong becomes an answer too (FL-6)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        allowance.set(Allowance())
        started_at, figures = self._clock.monotonic(), self._figures
        if figures is not None:
            figures.in_flight += 1
        source = find_source(scope, self._trusted)
        answer = _Answer(self, scope, send, begin_request(scope, self._trusted, self._ids))
        try:
            try:
                response = await self._respond(scope, receive, answer, source.key)
            except Problem as problem:
                note_problem(scope, problem)
                response = problem_response(problem)
            if response is not None:
                await answer.send_whole(response)
        except Exception:
            if figures is not None:
                figures.unhandled += 1
            log.exception("unhandled_error", method=scope["method"], path=scope["path"])
            if answer.status:
                raise  # the server cuts the connection, so that nobody takes the answer for whole
            await answer.send_whole(json_response({"detail": "Internal server error"}, 500))
        finally:
            self._note(scope, answer.status, self._clock.monotonic() - started_at)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        """Count and log a request that was answered."""
        refusal = problem_in(scope)
        if refusal is not None and self._refused is not None:
            self._refused(scope, refusal)
        if self._figures is not None:
            self._figures.in_flight -= 1
            self._figures.note(scope, status, seconds, refusal)
        if self._access_log:
            log_request(scope, status, seconds, self._clock.now())

    async def _respond(self, scope: Scope, receive: Receive, answer: "_Answer", source_key: str) -> Response | None:
        """Check what comes before any endpoint, then let one answer; None when it has answered by itself."""
        path = route_path(scope)
        is_limited = path not in self._exempt
        if is_limited and self._per_address is not None:
            counting = self._per_address.count(scope, source_key)
            if counting is not None:
                await counting
        if REFUSAL in scope:
            raise scope[REFUSAL]
        if self._cors is not None and self._cors.is_preflight(scope):
            return self._cors.answer_preflight(scope)
        if is_limited:
            token = bearer_token(scope["headers"])
            if token is not None and path not in self._judging:
                caller = await self._identify(token)
                put_caller(scope, caller)
                if self._per_user is not None:
                    counting = self._per_user.count(scope, caller.user_id)
                    if counting is not None:
                        await counting
        handler = self._lane.handler(scope, path)
        if handler is not None:
            return await handler(Request(scope, receive))
        await self._app(scope, receive, answer.send)
        return None

    def complete(
        self, scope: Scope, request_id: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        """Answer the headers of a response with all of ours."""
        completed = self._headers.added_to(headers)
        counted = counted_in(scope)
        if counted:
            completed += rate_limit_headers(counted)
        completed.append((b"x-request-id", request_id.encode()))
        if self._cors is not None:
            completed += self._cors.response_headers(scope)
        return completed


class _Answer:
    """The answer to one request on its way out."""

    __slots__ = ("_edge", "_scope", "_send", "request_id", "status")

    def __init__(self, edge: Edge, scope: Scope, send: Send, request_id: str) -> None:
        self._edge = edge
        self._scope = scope
        self._send = send
        self.request_id = request_id
        self.status = 0
        """0 until something was answered."""

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message of the inner application on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._edge.complete(self._scope, self.request_id, message.get("headers", ()))
        return self._send(message)

    async def send_whole(self, response: Response) -> None:
        """Send a response that is ready."""
        self.status = response.status_code
        headers = self._edge.complete(self._scope, self.request_id, response.raw_headers)
        if isinstance(response, JSON) and sent_whole(self._scope, response.status_code, headers, response.body):
            return
        await self._send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await self._send({"type": "http.response.body", "body": response.body})


def route_path(scope: Scope) -> str:
    """Answer a request's path below the place where the application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root else path
