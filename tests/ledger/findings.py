"""What people wrote down, and what a ledger and its server disagree about."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

REFUSED = 300
SERVER_ERROR = 500


class Act(NamedTuple):
    """What somebody did: what was so before, what should be after, and what came of it."""

    number: int
    who: str
    what: str
    before: str
    after: str
    began_at: float
    seconds: float
    status: int | None
    """None: no answer came."""

    @property
    def is_success(self) -> bool:
        return self.status is not None and self.status < REFUSED


@dataclass
class Findings:
    """What the ledger and the server disagree about, and how the load went."""

    lost: list[str] = field(default_factory=list)
    """Acknowledged, and not so."""
    revived: list[str] = field(default_factory=list)
    """Spent or ended, and taken all the same."""
    half: list[str] = field(default_factory=list)
    """Happened in part."""
    unexpected_401s: list[str] = field(default_factory=list)
    """A live session refused, or the right password."""
    strange: list[str] = field(default_factory=list)
    """Any other answer that nobody could expect."""
    late_retries: int = 0
    """Tokens presented again only after the replay window, which may rightly be refused."""
    server_errors: Counter[int] = field(default_factory=Counter)
    limited: int = 0
    unanswered: int = 0
    acknowledged: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    """Seconds that acknowledged acts took, by what they were."""
    longest_gap_seconds: float = 0.0
    """The longest time in which nobody's write was acknowledged."""
    longest_read_gap_seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.revived or self.half or self.unexpected_401s or self.strange)

    @property
    def acts(self) -> int:
        return self.acknowledged.total()

    def p99(self, what: str) -> float:
        """Answer the seconds within which 99 % of such acts were acknowledged."""
        ordered = sorted(self.latencies.get(what, []))
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else 0.0

    def __str__(self) -> str:
        """Show what is wrong, and no more of each than one can read."""
        wrong = ("lost", "revived", "half", "unexpected_401s", "strange")
        lines = [f"{name}: {line}" for name in wrong for line in getattr(self, name)[:10]]
        lines.append(
            f"{self.acts} acknowledged, {self.unanswered} unanswered, {dict(self.server_errors)}, "
            f"{self.late_retries} late retries, gap {self.longest_gap_seconds:.1f} s"
        )
        return "\n".join(lines)
