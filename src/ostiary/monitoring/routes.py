"""GET /metrics: beside the API behind its token, or on a port of its own."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ostiary.context import App
from ostiary.crypto.opaque import same, token_hash
from ostiary.edge.exchange import REFUSAL
from ostiary.edge.limits import bearer_token
from ostiary.problems import InvalidCredentials, MethodNotAllowed, NotFound, Problem
from ostiary.web.endpoint import Access, Endpoint
from ostiary.web.render import problem_response

PATH = "/metrics"


class MetricsEndpoint:
    """Answers with the page to whoever may have it."""

    def __init__(self, app: App) -> None:
        from ostiary.monitoring.page import CONTENT_TYPE, MetricsPage  # noqa: PLC0415 - most servers need none of it

        self._page = MetricsPage(app)
        self._content_type = CONTENT_TYPE
        token = app.settings.metrics_token
        self._token_hash = None if token is None else token_hash(token.get_secret_value())

    async def answer(self, request: Request) -> Response:
        """Answer the page. Raises InvalidCredentials, unless no token is asked for."""
        if self._token_hash is not None:
            presented = bearer_token(request.scope["headers"])
            if presented is None or not same(token_hash(presented), self._token_hash):
                raise InvalidCredentials(reason="not the metrics token")
        # A monitor may ask for it in any way; it is always this one.
        return Response(await self._page.text(), headers={"Content-Type": self._content_type})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a port on which there is nothing else."""
        request = Request(scope, receive)
        try:
            if REFUSAL in scope:
                raise scope[REFUSAL]
            if scope["path"] != PATH:
                raise NotFound(reason="no such path")
            if scope["method"] not in {"GET", "HEAD"}:
                raise MethodNotAllowed(headers={"Allow": "GET, HEAD"})
            response = await self.answer(request)
        except Problem as problem:
            response = problem_response(problem)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        await response(scope, receive, send)


def metrics_endpoint(metrics: MetricsEndpoint) -> Endpoint:
    """Answer the endpoint beside the API. It is no part of it."""
    return Endpoint(
        "GET", PATH, metrics.answer, Access.PUBLIC, tag="Metrics", summary="Metrics for Prometheus", judges_token=True
    )
