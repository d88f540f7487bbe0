"""How far a long command has come, shown on a terminal and nowhere else; and how much it does at once."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ostiary.clock import Clock, SystemClock

FIRST_STEP = 5_000
LEAST_STEP = 1_000
LARGEST_STEPS = {"sqlite": 100_000, "postgresql": 10_000}
LONGEST_STEP_SECONDS = 2.0
"""So long other writers wait; a server gives up after five seconds. SQLite is free while the next lines are read."""


class Bar:
    """A bar with what was done, how many users a second that is, and how long the rest will take."""

    def __init__(self, progress: Progress, total: int, clock: Clock) -> None:
        self._progress = progress
        self._clock = clock
        self._started_at = clock.monotonic()
        self._task = progress.add_task("", total=total, users=0, rate=0)

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return self._clock.monotonic() - self._started_at

    def show(self, *, completed: int, users: int, total: int | None = None) -> None:
        """Show how much of the total is done, and how many users, or what else is counted, that were."""
        rate = int(users / max(self.seconds, 1e-9))
        self._progress.update(self._task, completed=completed, total=total, users=users, rate=rate)


@contextmanager
def bar(total: int, *, what: str = "users") -> Iterator[Bar]:
    """Show a bar on standard error while the block runs, if that is a terminal."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn(f"{{task.fields[users]:,}} {what}, {{task.fields[rate]:,}}/s, left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        yield Bar(progress, total, SystemClock())


class Pace:
    """How many users go into one transaction: as many as are written in one to two seconds.

    Names come in no order, so that a transaction of many users changes hardly more pages than one of few.
    """

    def __init__(self, engine: str) -> None:
        self.users = FIRST_STEP
        self._most = LARGEST_STEPS[engine]
        self._clock = SystemClock()
        self._started_at = 0.0

    def __enter__(self) -> None:
        self._started_at = self._clock.monotonic()

    def __exit__(self, *_: object) -> None:
        seconds = self._clock.monotonic() - self._started_at
        if seconds > LONGEST_STEP_SECONDS:
            self.users = max(self.users // 2, LEAST_STEP)
        elif seconds < LONGEST_STEP_SECONDS / 2:
            self.users = min(self.users * 2, self._most)
