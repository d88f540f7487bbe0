"""Time, as the rest of the package sees it. The only module that asks the machine what time it is."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

STEP_BACK_NS = 60 * 10**9
"""FL-5: no token lives longer than this for a clock that was stepped back."""


class Clock(Protocol):
    """Two readings: the wall clock for what is stored or signed, the monotonic one for limits inside the process."""

    def now(self) -> datetime:
        """Answer the present moment: aware, UTC, whole milliseconds, which is what both databases keep."""

    def monotonic(self) -> float:
        """Answer seconds since some fixed moment; never stepped by anybody (FL-5)."""


class SystemClock:
    """The machine's own clock. A step back of more than a minute is not followed until the next start (FL-5).

    Followed, it would let whatever is about to expire live on for as long, and make what was just issued seem to come
    from the future. A step ahead is followed, and so is the one that puts it right.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._began_ns = wall_ns() - monotonic_ns()

    def now(self) -> datetime:
        """Answer the present moment, cut to milliseconds."""
        wall_ns, steady_ns = self._wall_ns(), self._began_ns + self._monotonic_ns()
        if wall_ns < steady_ns - STEP_BACK_NS:
            wall_ns = steady_ns
        return datetime.fromtimestamp(wall_ns // 1_000_000 / 1000, UTC)

    def monotonic(self) -> float:
        """Answer seconds since the machine started, or thereabouts."""
        return time.monotonic()
