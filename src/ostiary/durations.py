"""Lengths of time and rates as people write them: `150ms`, `10s`, `15m`, `24h`, `30d`; `100/minute`, `3/15minutes`."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_WORDS = {"d": "day", "h": "hour", "m": "minute", "s": "second"}
# Nine digits: more than any use needs, and no timedelta overflows.
_DURATION = re.compile(r"(?P<number>\d{1,9})(?P<unit>ms|[smhd])", re.ASCII)
_RATE = re.compile(r"(?P<limit>\d{1,9})/(?P<number>\d{0,9})(?P<unit>seconds?|minutes?|hours?|days?|[smhd])", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read a whole number followed by ms, s, m, h or d; a plain `0` needs no unit. Raises ValueError for the rest."""
    if text == "0":
        return timedelta(0)
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError
    return int(match["number"]) * _UNITS[match["unit"]]


def format_duration(length: timedelta) -> str:
    """Write a length in the largest unit that leaves no fraction; what is shorter than a millisecond is cut off."""
    number, unit = _in_largest_unit(length)
    return f"{number}{unit}" if length else "0s"


def _in_largest_unit(length: timedelta) -> tuple[int, str]:
    for unit, size in _UNITS.items():
        if length % size == timedelta(0):
            return length // size, unit
    return length // _UNITS["ms"], "ms"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` events in any stretch of time as long as `window`."""

    limit: int
    window: timedelta

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `100/minute`, `3/15minutes` or `5/10s`. Raises ValueError for anything else."""
        match = _RATE.fullmatch(text)
        if match is None:
            raise ValueError
        return cls(limit=int(match["limit"]), window=int(match["number"] or 1) * _UNITS[match["unit"][0]])

    def __str__(self) -> str:
        """Write the rate as `parse` reads it."""
        number, unit = _in_largest_unit(self.window)
        word = _WORDS.get(unit, unit)
        return f"{self.limit}/{word}" if number == 1 else f"{self.limit}/{number}{word}s"
