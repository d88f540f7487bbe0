"""Reading all figures of one process, as plain values that can be handed to another one."""

import os
import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector

from ostiary.context import App
from ostiary.db.schema import HEAD
from ostiary.metrics import declared
from ostiary.metrics.declared import Metric
from ostiary.monitoring.stock import Stock

Distribution: TypeAlias = tuple[list[tuple[str, float]], float]
"""A histogram's buckets and sum."""
Amount: TypeAlias = tuple[float, float]
"""A summary's count and sum."""
Value: TypeAlias = float | Amount | Distribution
Sample: TypeAlias = tuple[str, tuple[str, ...], Value]
"""The name of a metric, its labels' values, and its own."""

COUNTED = (declared.LOGINS, declared.SIGNUPS, declared.REFRESHES, declared.MAILS)
OF_THE_PROCESS = (
    declared.CPU_SECONDS,
    declared.RESIDENT,
    declared.VIRTUAL,
    declared.STARTED,
    declared.OPEN_FILES,
    declared.MOST_FILES,
)


def process_samples(app: App) -> Iterator[Sample]:
    """Answer what this process has to tell of itself."""
    for metric, labels, value in _of_the_app(app):
        yield metric.name, labels, value
    for metric in COUNTED:
        for labels, value in app.metrics.counted(metric).items():
            yield metric.name, labels, value
    about = version("ostiary"), platform.python_version(), app.db.engine
    yield declared.BUILD.name, about, 1.0
    yield from _process()


def _of_the_app(app: App) -> Iterator[tuple[Metric, tuple[str, ...], Value]]:
    yield from _requests(app)
    yield from _connections(app)
    yield from _hashing(app)
    yield from _database(app)
    yield from _batches(app)
    yield from _limits(app)
    yield from _jobs(app)


def installation_samples(app: App, stock: Stock | None, *, is_reachable: bool) -> Iterator[Sample]:
    """Answer what every process of the installation would tell alike."""
    yield declared.DATABASE_UP.name, (), float(is_reachable)
    now = app.clock.now()
    if stock is not None:
        mail_age = 0.0 if stock.oldest_mail is None else (now - stock.oldest_mail).total_seconds()
        lag = 0.0 if stock.oldest_unsealed is None else (now - stock.oldest_unsealed).total_seconds()
        yield declared.DATABASE_INFO.name, (stock.revision or "none", HEAD), 1.0
        yield declared.USERS.name, (), float(stock.users)
        yield declared.OUTBOX_MAILS.name, (), float(stock.mails)
        yield declared.OUTBOX_AGE.name, (), max(0.0, mail_age)
        yield declared.UNSEALED_ROWS.name, (), float(stock.unsealed)
        yield declared.SEAL_LAG.name, (), max(0.0, lag)
    since, due = app.ring.timetable
    yield declared.KEY_SINCE.name, (), since.timestamp()
    if due is not None:
        yield declared.KEY_DUE.name, (), due.timestamp()
    yield from _disk(app)


def _requests(app: App) -> Iterator[tuple[Metric, tuple[str, ...], Value]]:
    requests = app.metrics.requests
    yield declared.IN_FLIGHT, (), float(requests.in_flight)
    yield declared.UNHANDLED, (), float(requests.unhandled)
    for by_status, count in requests.by_status():
        yield declared.REQUESTS, by_status, float(count)
    for by_route, buckets, seconds in requests.by_time():
        yield declared.REQUEST_SECONDS, by_route, (buckets, seconds)
    for kind, count in list(requests.refusals.items()):
        yield declared.REFUSALS, (kind.__name__,), float(count)


def _connections(app: App) -> Iterator[tuple[Metric, tuple[str, ...], Value]]:
    connections = app.metrics.connections
    if connections.most:
        yield declared.CLIENTS, (), float(len(connections.open))
        yield declared.MOST_CLIENTS, (), float(connections.most)
        yield declared.DROPPED, (), float(connections.dropped)


def _hashing(app: App) -> Iterator[tuple[Metric, tuple[str, ...], Value]]:
    for work, threads, lane in app.hasher.lanes:
        yield declared.HASHING_THREADS, (work,), float(threads)
        yield declared.HASHING_WAITING, (work,), float(len(lane.places))
        yield declared.HASHING_WAIT, (work,), (float(lane.done), lane.seconds_waited)
        yield declared.HASHING_TIME, (work,), (float(lane.done), lane.seconds_worked)
        yield declared.HASHING_REFUSED, (work,), float(lane.refused)


def _database(app: App) -> Iterator[tuple[Metric, tuple[str, ...], Value]]:
    figures = app.db.figures
    yield declared.CONNECTIONS_MOST, (), float(figures.most)
    yield declared.CONNECTIONS_USED, (), float(figures.in_use)
    yield declared.DATABASE_WAITING, (), float(figures.waiting)
    yield declared.DATABASE_RETRIES, (), float(figures.retries)
    yield declared.DATABASE_FAILURES, (), float(figures.failures)
    for metric, count in (
        (declared.WRITES_WAITING, figures.writes_waiting),
        (declared.COMMITS, figures.commits),
        (declared.COMMITTED, figures.committed),
    ):
        if count is not None:
            yield metric, (), float(count)


def _batches(app: App) -> Iterator[tuple[Metric, tuple[str, ...], Value]]:
    for of, coalescer in (
        ("callers", app.callers),
        ("api_keys", app.key_callers),
        ("refreshes", app.rotations),
        ("users", app.user_reads),
        ("pages", app.user_pages),
    ):
        yield declared.BATCHES, (of,), float(coalescer.batches)
        yield declared.BATCHED, (of,), float(coalescer.items)


def _limits(app: App) -> Iterator[tuple[Metric, tuple[str, ...], Value]]:
    counters = app.counters
    yield declared.STORE_UP, (counters.store_name,), float(counters.is_store_up)
    yield declared.STORE_OUTAGES, (), float(counters.fallbacks)
    yield declared.COUNTED_ALONE, (), float(counters.counted_alone)


def _jobs(app: App) -> Iterator[tuple[Metric, tuple[str, ...], Value]]:
    for name, job in app.metrics.jobs.all():
        for result, count in list(job.runs.items()):
            yield declared.JOB_RUNS, (name, result), float(count)
        yield declared.JOB_TIME, (name,), (float(sum(job.runs.values())), job.seconds)
        yield declared.JOB_SUCCESS, (name,), job.last_success


def _disk(app: App) -> Iterator[Sample]:
    if hasattr(os, "statvfs"):
        disk = os.statvfs(app.settings.data_dir)
        yield declared.FREE_BYTES.name, (), float(disk.f_bavail * disk.f_frsize)
    file = app.settings.sqlite_file
    if file is not None:
        parts = (file, file.with_name(f"{file.name}-wal"))
        yield declared.DATABASE_BYTES.name, (), float(sum(part.stat().st_size for part in parts if part.exists()))


def _process() -> Iterable[Sample]:
    """Answer what Linux tells of this process; elsewhere nothing."""
    found = {
        sample.name: sample.value
        for family in ProcessCollector(registry=CollectorRegistry()).collect()
        for sample in family.samples
    }
    return [(metric.name, (), found[metric.name]) for metric in OF_THE_PROCESS if metric.name in found]
