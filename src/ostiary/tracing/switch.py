"""Traces or none, as the settings say; loads OpenTelemetry only where there are some."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ostiary.context import App
from ostiary.db import Misconfigured
from ostiary.edge.pipeline import Edge
from ostiary.settings import Settings

if TYPE_CHECKING:
    from ostiary.tracing.spans import Spans

MakeSpan: TypeAlias = Callable[[str, Mapping[str, str]], AbstractContextManager[object]]


def no_span(_name: str, _attributes: Mapping[str, str]) -> AbstractContextManager[object]:
    """Trace nothing."""
    return nullcontext()


class Tracing:
    """Puts traced parts in the place of ordinary ones, where a setting asks for traces."""

    def __init__(self, settings: Settings) -> None:
        """Raise Misconfigured where OpenTelemetry is not installed."""
        self._spans = self._made(settings)
        self.span: MakeSpan = no_span if self._spans is None else self._spans.span
        """Makes a span of work in the background."""

    def _made(self, settings: Settings) -> "Spans | None":
        if settings.trace_endpoint is None:
            return None
        try:
            from ostiary.tracing.spans import Spans  # noqa: PLC0415 - an extra
        except ModuleNotFoundError:
            raise Misconfigured(
                "OSTIARY_TRACE_ENDPOINT needs OpenTelemetry, which is not installed: pip install 'ostiary[otel]'"
            ) from None
        return Spans(settings)

    def app(self, app: App) -> App:
        """Answer the App, with parts that leave spans."""
        if self._spans is None:
            return app
        from ostiary.tracing.wrapping import traced  # noqa: PLC0415 - an extra

        return traced(app, self._spans)

    @property
    def edge(self) -> Callable[..., Edge]:
        """What makes the edge."""
        if self._spans is None:
            return Edge
        from ostiary.tracing.edge import TracedEdge  # noqa: PLC0415 - an extra

        return partial(TracedEdge, self._spans)

    def start(self) -> None:
        """Nothing has to be done: spans leave as soon as there are some."""

    async def stop(self) -> None:
        """Send what waits, if it is taken within seconds."""
        if self._spans is not None:
            await asyncio.to_thread(self._spans.close)
