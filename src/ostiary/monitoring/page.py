"""The page that Prometheus reads (its text format, version 0.0.4)."""

from collections.abc import Iterable, Iterator
from typing import cast

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from ostiary.context import App
from ostiary.metrics.declared import TOPICS, Metric
from ostiary.monitoring.readings import Amount, Distribution, Sample, Value, installation_samples, process_samples
from ostiary.monitoring.stock import Stocktaking

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsPage:
    """Gathers what there is to tell of one App."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._stocktaking = Stocktaking(app.db, app.clock)

    async def text(self) -> bytes:
        """Write the page as things are now."""
        app = self._app
        stock = await self._stocktaking.take()
        is_reachable = stock is not None and await app.database_check.is_reachable()
        return page_of([*process_samples(app), *installation_samples(app, stock, is_reachable=is_reachable)])


def page_of(samples: Iterable[Sample]) -> bytes:
    """Write samples as the page shows them: by topic, each metric with its meaning."""
    by_name: dict[str, list[tuple[tuple[str, ...], Value]]] = {}
    for name, labels, value in samples:
        by_name.setdefault(name, []).append((labels, value))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Gathered(by_name))
    return generate_latest(registry)


class _Gathered(Collector):
    """Samples that were gathered, by metric's name, as the library asks for them."""

    def __init__(self, by_name: dict[str, list[tuple[tuple[str, ...], Value]]]) -> None:
        self._by_name = by_name

    def collect(self) -> Iterator[Family]:
        for metrics in TOPICS.values():
            for metric in metrics:
                samples = self._by_name.get(metric.name)
                if samples:
                    yield _family(metric, samples)


def _family(metric: Metric, samples: Iterable[tuple[tuple[str, ...], Value]]) -> Family:
    """Answer one metric with its samples."""
    family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily | SummaryMetricFamily
    match metric.kind:
        case "histogram":
            family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in samples:
                buckets, seconds = cast("Distribution", value)
                family.add_metric(labels, buckets, seconds)
        case "summary":
            family = SummaryMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in samples:
                count, seconds = cast("Amount", value)
                family.add_metric(labels, int(count), seconds)
        case "counter":
            family = CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in samples:
                family.add_metric(labels, cast("float", value))
        case "gauge":
            family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in samples:
                family.add_metric(labels, cast("float", value))
    return family
