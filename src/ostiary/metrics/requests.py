"""Figures of requests: the only ones that every request adds to, so they are written for speed."""

from bisect import bisect_left
from collections.abc import Iterator

from starlette.types import Scope

from ostiary.problems import Problem

ROUTE = "ostiary.route"
"""Where the hot lane leaves the endpoint's path in a scope."""
NO_ROUTE = "none"
"""For requests that were answered before any endpoint was looked for, or that fit none."""
NOT_ANSWERED = 499
"""nginx's number for a caller who went away."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds, the upper ends of the histogram's buckets."""


class _Route:
    """The figures of one method of one route."""

    __slots__ = ("buckets", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0


class RequestFigures:
    """Counts requests by method, route and status. Callers cannot make it grow: all three are from the code."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.unhandled = 0
        self.refusals: dict[type[Problem], int] = {}
        self._routes: dict[tuple[str, str], _Route] = {}

    def note(self, scope: Scope, status: int, seconds: float, refusal: Problem | None) -> None:
        """Count a request that was answered; status 0 stands for one that was not."""
        route = route_in(scope)
        figures = self._routes.get((scope["method"], route)) or self._first(scope["method"], route)
        figures.seconds += seconds
        figures.buckets[bisect_left(BOUNDS, seconds)] += 1
        status = status or NOT_ANSWERED
        figures.statuses[status] = figures.statuses.get(status, 0) + 1
        if refusal is not None:
            kind = type(refusal)
            self.refusals[kind] = self.refusals.get(kind, 0) + 1

    def _first(self, method: str, route: str) -> _Route:
        return self._routes.setdefault((method if method in METHODS else OTHER, route), _Route())

    def by_status(self) -> Iterator[tuple[tuple[str, str, str], int]]:
        """Answer how many there were: method, route, status."""
        for (method, route), figures in list(self._routes.items()):
            for status, count in list(figures.statuses.items()):
                yield (method, route, str(status)), count

    def by_time(self) -> Iterator[tuple[tuple[str, str], list[tuple[str, float]], float]]:
        """Answer how long they took: method, route, the buckets as a histogram has them, and the sum."""
        for (method, route), figures in list(self._routes.items()):
            counted, buckets = 0, []
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), figures.buckets, strict=True):
                counted += count
                buckets.append((bound, float(counted)))
            yield (method, route), buckets, figures.seconds


def route_in(scope: Scope) -> str:
    """Answer the path that the endpoint of a request declares, with its parameters' names and never their values."""
    route: str | None = scope.get(ROUTE)
    if route is not None:
        return route
    path: str = getattr(scope.get("route"), "path", NO_ROUTE)
    return path
