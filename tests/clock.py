"""A clock that moves only when a test moves it."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Starts at the present moment, so that what checks against the real clock beside it agrees."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, **span: float) -> None:
        """Move on by what `timedelta` takes: seconds=5, days=1."""
        by = timedelta(**span)
        self._now += by
        self._monotonic += by.total_seconds()

    def step(self, **span: float) -> None:
        """Step the wall clock alone, as an operator or NTP does."""
        self._now += timedelta(**span)
