"""Time, as the rest of the package sees it. The only module that asks the machine what time it is."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two readings: the wall clock for what is stored or signed, the monotonic one for limits inside the process."""

    def now(self) -> datetime:
        """Answer the present moment: aware, UTC, whole milliseconds, which is what both databases keep."""

    def monotonic(self) -> float:
        """Answer seconds since some fixed moment; never stepped by anybody (FL-5)."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Answer the present moment, cut to milliseconds."""
        return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)

    def monotonic(self) -> float:
        """Answer seconds since the machine started, or thereabouts."""
        return time.monotonic()
