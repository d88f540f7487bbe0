"""The figures of one App: whoever does something worth knowing adds to them."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import structlog

from ostiary.clock import Clock
from ostiary.db.database import Unreachable
from ostiary.logs import JOB
from ostiary.metrics.declared import Metric
from ostiary.metrics.requests import RequestFigures

log = structlog.get_logger(__name__)

Result: TypeAlias = Literal["done", "postponed", "failed"]


class Metrics:
    """Counters by metric and labels, and the figures of requests and jobs. For one event loop's thread."""

    def __init__(self, clock: Clock) -> None:
        self.requests = RequestFigures()
        self.jobs = Jobs(clock)
        self.connections = ConnectionFigures()
        self._counters: dict[Metric, dict[tuple[str, ...], float]] = {}

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Add to a counter. Labels are words from the code, one for each that the metric declares."""
        values = self._counters.setdefault(metric, {})
        values[labels] = values.get(labels, 0) + by

    def counted(self, metric: Metric) -> Mapping[tuple[str, ...], float]:
        """Answer what a counter has come to, by labels."""
        beginning: list[tuple[str, ...]] = [(value,) for value in metric.known] or ([] if metric.labels else [()])
        return dict.fromkeys(beginning, 0.0) | self._counters.get(metric, {})


@dataclass(slots=True)
class ConnectionFigures:
    """The connections of clients, as far as this server keeps them itself."""

    open: Collection[object] = ()
    most: int = 0
    """0 under a server that is not ours."""
    dropped: int = 0
    """Of clients who did not read."""


@dataclass(slots=True)
class Job:
    """What one kind of work in the background has come to."""

    last_success: float
    """Seconds since 1970; when it was first tried, until it succeeds."""
    runs: dict[Result, int] = field(default_factory=lambda: {"done": 0, "postponed": 0, "failed": 0})
    seconds: float = 0.0


@dataclass(slots=True)
class Round:
    """One round of a job; whoever does it says how it went, unless all went well."""

    result: Result = "done"


class Jobs:
    """What the work in the background has come to, by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: dict[str, Job] = {}

    @contextmanager
    def round(self, name: str) -> Iterator[Round]:
        """Note a round of a job, whose lines in the log carry its name meanwhile."""
        job = self._jobs.get(name) or self._jobs.setdefault(name, Job(self._clock.now().timestamp()))
        begun_at, current = self._clock.monotonic(), Round()
        token = JOB.set(name)
        try:
            yield current
        except BaseException:
            current.result = "failed"
            raise
        finally:
            JOB.reset(token)
            job.seconds += self._clock.monotonic() - begun_at
            job.runs[current.result] += 1
            if current.result == "done":
                job.last_success = self._clock.now().timestamp()

    async def attempt(self, name: str, step: Callable[[], Awaitable[None]], *, called: str) -> None:
        """Do one round of a job; one that fails is logged, as `<called>_failed` or `_postponed`, and hurts no other."""
        postponed, failed = f"{called}_postponed", f"{called}_failed"
        with self.round(name) as current:
            try:
                await step()
            except Unreachable as problem:
                current.result = "postponed"
                log.warning(postponed, reason=problem.reason)
            except Exception:
                current.result = "failed"
                log.exception(failed)

    def all(self) -> list[tuple[str, Job]]:
        """Answer every job that had a round."""
        return list(self._jobs.items())
