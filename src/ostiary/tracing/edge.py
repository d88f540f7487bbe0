"""The HTTP edge with a span around every request that is no probe's."""

from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Receive, Scope, Send

from ostiary.edge.pipeline import Edge, route_path
from ostiary.edge.source import is_trusted
from ostiary.logs import REQUEST_ID
from ostiary.metrics.requests import METHODS, NOT_ANSWERED, OTHER, route_in
from ostiary.tracing.spans import Spans

LEAST_ERROR = 500
_SPAN = "ostiary.span"
_TRACEPARENT = b"traceparent"


class TracedEdge(Edge):
    """Does what the edge does. The trace of a request goes on where a trusted proxy began it, and else begins here."""

    def __init__(self, spans: Spans, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._spans = spans
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request in a span."""
        if scope["type"] != "http" or route_path(scope) in self._exempt:
            await super().__call__(scope, receive, send)
            return
        parent = self._parent(scope)
        with self._spans.span("request", kind=SpanKind.SERVER, parent=parent) as span:
            scope[_SPAN] = span
            await super().__call__(scope, receive, send)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        super()._note(scope, status, seconds)
        span: Span | None = scope.get(_SPAN)
        if span is None:
            return
        method, route = scope["method"] if scope["method"] in METHODS else OTHER, route_in(scope)
        span.update_name(f"{method} {route}")
        span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status or NOT_ANSWERED,
                "ostiary.request_id": REQUEST_ID.get(),
            }
        )
        if status >= LEAST_ERROR:
            span.set_status(StatusCode.ERROR)

    def _parent(self, scope: Scope) -> Context:
        """Answer the trace that the request belongs to, if somebody says so who is trusted; else an empty one."""
        client = scope.get("client")
        if self._trusted and client and is_trusted(client[0], self._trusted):
            given = [value for name, value in scope["headers"] if name == _TRACEPARENT]
            if len(given) == 1:
                return self._propagator.extract({"traceparent": given[0].decode("latin-1")}, context=Context())
        return Context()
