"""Spans, and how they leave: in batches, from a thread of their own, and dropped where nobody takes them in time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TypeAlias

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode

from ostiary.problems import Problem
from ostiary.settings import Settings

MOST_WAITING = 2048
"""Spans; what comes when so many wait is dropped."""
SEND_SECONDS = 3.0

Attributes: TypeAlias = Mapping[str, str | int | bool]


class Spans:
    """Makes spans and sends them to a collector (OTLP over HTTP)."""

    def __init__(self, settings: Settings) -> None:
        exporter = OTLPSpanExporter(endpoint=f"{settings.trace_endpoint}/v1/traces", timeout=SEND_SECONDS)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.trace_percent / 100)),
            resource=Resource.create({"service.name": "ostiary", "service.version": version("ostiary")}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=MOST_WAITING))
        self._tracer = self._provider.get_tracer("ostiary")

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes | None = None,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: Context | None = None,
    ) -> Iterator[Span]:
        """Let a span last as long as the block; what is raised in it is named by its class alone."""
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=kind,
            attributes=attributes,
            record_exception=False,  # its text may hold anything
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except Problem as problem:
                span.set_attribute("ostiary.problem", type(problem).__name__)
                raise
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    @contextmanager
    def span_within(self, name: str, attributes: Attributes | None = None) -> Iterator[None]:
        """Do the same where something traced is going on; else nothing, so that no loop fills the collector."""
        if not trace.get_current_span().is_recording():
            yield
            return
        with self.span(name, attributes):
            yield

    def close(self) -> None:
        """Send what waits, as far as it is taken within seconds. To be called in a thread."""
        self._provider.shutdown()
