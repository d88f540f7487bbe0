"""Are two answers equally fast? An equivalence test on measured pairs, which looks until it can tell.

The pairs' differences are judged by their median, with the confidence interval that order statistics give (the sign
test turned round): it assumes nothing of how the noise is distributed, and a machine that stumbles now and then moves
it little.
"""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from math import sqrt
from statistics import NormalDist, median
from time import monotonic

MARGIN_MS = 1.0
"""What counts as equal (LG-2)."""
ERROR_PER_LOOK = 1e-5
"""How often an interval may miss the truth; there are at most some forty looks, so a wrong verdict is one in 1,000."""
ROUNDS_PER_LOOK = 20

_Z = NormalDist().inv_cdf(1 - ERROR_PER_LOOK / 2)


class Verdict(Enum):
    """What can be said of a difference."""

    EQUAL = auto()
    """It lies within the margin."""
    DIFFERENT = auto()
    """It lies beyond the margin."""
    UNKNOWN = auto()
    """More must be measured."""


def interval(differences: list[float]) -> tuple[float, float]:
    """Answer the confidence interval of the median; without bounds while there are too few to say."""
    ordered, reach = sorted(differences), _Z * sqrt(len(differences)) / 2
    low = int(len(ordered) / 2 - reach)
    return (ordered[low - 1], ordered[-low]) if low >= 1 else (float("-inf"), float("inf"))


def judge(differences: list[float]) -> Verdict:
    """Compare the interval with the margin."""
    low, high = interval(differences)
    if low > -MARGIN_MS and high < MARGIN_MS:
        return Verdict.EQUAL
    return Verdict.DIFFERENT if low > MARGIN_MS or high < -MARGIN_MS else Verdict.UNKNOWN


class Comparison:
    """Rounds of measurements, each of which takes every kind of request once; the first kind is the measure."""

    def __init__(self, measure_round: Callable[[], Mapping[str, float]]) -> None:
        self._measure_round = measure_round
        self.differences: dict[str, list[float]] = {}

    def run(self, *, within_seconds: float) -> dict[str, Verdict]:
        """Measure until all is known, or there is no more time."""
        deadline = monotonic() + within_seconds
        verdicts: dict[str, Verdict] = {}
        while monotonic() < deadline:
            for _ in range(ROUNDS_PER_LOOK):
                (_, base), *others = self._measure_round().items()
                for kind, milliseconds in others:
                    self.differences.setdefault(kind, []).append(milliseconds - base)
            verdicts = {kind: judge(differences) for kind, differences in self.differences.items()}
            if Verdict.UNKNOWN not in verdicts.values():
                break
        return verdicts

    def __str__(self) -> str:
        """Say what was seen."""
        lines = []
        for kind, differences in self.differences.items():
            low, high = interval(differences)
            middle = median(differences)
            lines.append(f"{kind}: {middle:+.2f} ms, between {low:+.2f} and {high:+.2f}, from {len(differences)} pairs")
        return "\n".join(lines)
