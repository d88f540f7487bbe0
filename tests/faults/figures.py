"""What a test of a fault measured: printed when all tests have run, and kept where `make chaos` asks for it.

    def test_…(figures: Figures) -> None:
        figures.fault = "a server is killed while it writes"
        for number in figures.times(5, long=200): …
        figures.at_most("ready after a kill, s", slowest, 2.0)
        figures["acts acknowledged"] = found.acts

Under `make chaos` (CHAOS_LONG=1) tests run more rounds, alone on the machine; CHAOS_RESULTS names the file that each
test appends a line of JSON to. A bound that was missed is written down as such; it is the test that decides how much
slack a shared machine gets before it fails.
"""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

LONG = "CHAOS_LONG"
RESULTS = "CHAOS_RESULTS"


def is_long() -> bool:
    """Whether this is the long mode."""
    return os.environ.get(LONG) == "1"


def rounds(default: int, long: int) -> int:
    """Answer how often to do something: in the suite, or in the long mode."""
    return long if is_long() else default


@dataclass
class Figure:
    """A number, and what it may not exceed, or fall below."""

    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_held(self) -> bool:
        too_much = self.at_most is not None and self.value > self.at_most
        return not too_much and not (self.at_least is not None and self.value < self.at_least)

    def __str__(self) -> str:
        said = f"{self.value:g}" if isinstance(self.value, int) else f"{self.value:.4g}"
        for word, bound in (("at most", self.at_most), ("at least", self.at_least)):
            if bound is not None:
                said += f" ({word} {bound:g}: {'held' if self.is_held else 'MISSED'})"
        return said


@dataclass
class Figures:
    """The figures of one test, by what they are figures of."""

    test: str
    fault: str
    """What was done, in a line: the test's name in words, until it says more."""
    rounds: int = 1
    figures: dict[str, Figure] = field(default_factory=dict)
    _began_at: float = field(default_factory=time.monotonic)

    def times(self, default: int, long: int) -> range:
        """Go through so many rounds, and write down how many."""
        self.rounds = rounds(default, long)
        return range(self.rounds)

    def __setitem__(self, what: str, value: float) -> None:
        """Write down a figure that no rule bounds."""
        self.figures[what] = Figure(value)

    def __getitem__(self, what: str) -> float:
        return self.figures[what].value

    def at_most(self, what: str, value: float, bound: float) -> None:
        """Write down a figure that a rule says must not be more."""
        self.figures[what] = Figure(value, at_most=bound)

    def at_least(self, what: str, value: float, bound: float) -> None:
        """Write down a figure that a rule says must not be less."""
        self.figures[what] = Figure(value, at_least=bound)

    def __str__(self) -> str:
        said = "; ".join(f"{what}: {figure}" for what, figure in self.figures.items())
        return f"| {self.fault} | {self.rounds} | {said} |"

    def keep(self, *, passed: bool) -> None:
        """Append them to the results, where those are asked for."""
        file = os.environ.get(RESULTS)
        if file is None:
            return
        line = {
            "test": self.test,
            "fault": self.fault,
            "rounds": self.rounds,
            "passed": passed,
            "seconds": round(time.monotonic() - self._began_at, 1),
            "figures": {what: asdict(figure) for what, figure in self.figures.items()},
        }
        with Path(file).open("a", encoding="utf-8") as results:
            results.write(json.dumps(line) + "\n")
