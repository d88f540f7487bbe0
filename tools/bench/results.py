"""The figures of a run: what was measured, round by round, and a file that holds it all."""

import json
import statistics
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.bench.load import Load


@dataclass
class Figure:
    """One thing measured, once in each round."""

    unit: str
    values: list[float] = field(default_factory=list)
    latency_ms: dict[str, float] = field(default_factory=dict)
    """Of the last round, by percentile."""
    busy: float = 0.0
    """How near the load generator came to the limit of its core, at most."""

    @property
    def median(self) -> float:
        """The figure that counts."""
        return statistics.median(self.values)


@dataclass
class Results:
    """All of a run."""

    about: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    sizes: list[dict[str, Any]] = field(default_factory=list)
    """Throughput and latency of an endpoint at a number of users."""
    failures: dict[str, str] = field(default_factory=dict)
    """What could not be measured, and why."""

    def note(self, key: str, value: float, unit: str) -> None:
        """Add a round's value to a figure."""
        self.figures.setdefault(key, Figure(unit)).values.append(value)
        print(f"  {key:36} {value:14,.2f} {unit}", flush=True)

    def note_load(self, key: str, load: Load) -> None:
        """Add a round's throughput, and keep its latencies."""
        self.note(key, load.rate, "/s")
        figure = self.figures[key]
        figure.latency_ms = load.latency_ms
        figure.busy = max(figure.busy, load.busy)

    def fail(self, part: str, reason: str) -> None:
        """Say loudly that something could not be measured; its bars are then not met."""
        self.failures[part] = reason
        print(f"  FAILED: {part}: {reason}", file=sys.stderr, flush=True)

    def median(self, key: str) -> float | None:
        """Answer what was measured, if it was."""
        figure = self.figures.get(key)
        return figure.median if figure and figure.values else None

    def save(self, file: Path) -> None:
        """Write the file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> "Results":
        """Read a file that `save` wrote."""
        kept = json.loads(file.read_text(encoding="utf-8"))
        kept["figures"] = {key: Figure(**figure) for key, figure in kept["figures"].items()}
        return cls(**kept)
