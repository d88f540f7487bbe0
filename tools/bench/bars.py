"""The bars P1 to P10: what is measured, against whom, and how much is enough. Nothing here measures."""

from dataclasses import dataclass
from enum import Enum

from tools.bench.results import Results

TIMES = "\u00d7"


class Sense(Enum):
    """Which side of the bar is good."""

    AT_LEAST = "≥"
    AT_MOST = "≤"


class Verdict(Enum):
    """How it stands with a bar."""

    MET = "met"
    MISSED = "missed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Bar:
    """One bar: a figure of ours, or its ratio to another figure, on the good side of a bound."""

    id: str
    what: str
    ours: str
    """The key of our figure."""
    sense: Sense
    bound: float
    against: str | None = None
    """The key of the figure that ours is divided by; None: the bound is in the figure's own unit."""
    whom: str = ""
    """Against whom, in words."""
    unit: str = TIMES


@dataclass(frozen=True)
class Judgement:
    """A bar beside what was measured."""

    bar: Bar
    ours: float | None
    theirs: float | None
    value: float | None
    """What is compared with the bound."""
    verdict: Verdict


_LEAST, _MOST = Sense.AT_LEAST, Sense.AT_MOST
_READ = "PocketBase, own record, 100,000"
_REFRESH = "PocketBase, auth-refresh (stores nothing)"

BARS = (
    Bar("P1", "`GET /users/{id}`, SQLite, 100,000 users", "sqlite.read", _LEAST, 3, "pocketbase.read", _READ),
    Bar("P2", "`GET /users/{id}`, PostgreSQL, 100,000 users", "postgres.read", _LEAST, 2, "pocketbase.read", _READ),
    Bar(
        "P3",
        "`GET /users`, random skips, 100,000 users",
        "sqlite.list",
        _LEAST,
        40,
        "pocketbase.list",
        "PocketBase, list in 100,000",
    ),
    Bar("P3", "the same", "sqlite.list", _LEAST, 2.5, "pocketbase.list-1000", "PocketBase, list in 1,000"),
    Bar("P4", "`POST /auth/refresh`, SQLite, durable", "sqlite.refresh", _LEAST, 1, "pocketbase.refresh", _REFRESH),
    Bar("P4", "the same on PostgreSQL", "postgres.refresh", _LEAST, 0.6, "pocketbase.refresh", _REFRESH),
    Bar(
        "P5",
        "`POST /auth/login`, all cores",
        "login.all-cores",
        _LEAST,
        0.95,
        "login.argon2-less-client",
        "bare Argon2id, the client's processor time taken off",
    ),
    Bar("P6", "`GET /users/{id}` while logins saturate, p99", "beside-logins.read-p99", _MOST, 50, unit="ms"),
    Bar("P7", "`GET /users` at the far end, p50", "large.deep-p50", _MOST, 2, "large.first-p50", "`skip=0`"),
    Bar("P7", "its `total` beside `count(*)`, difference", "large.total-off", _MOST, 0, unit="users"),
    Bar("P7", "first page, p50", "large.first-p50", _MOST, 5, unit="ms"),
    Bar(
        "P8",
        "goodput at ten times the capacity of login",
        "overload.goodput",
        _LEAST,
        0.8,
        "login.all-cores",
        "its own peak",
    ),
    Bar("P8", "answers but 200, and 503 with `Retry-After`", "overload.wrong", _MOST, 0, unit="answers"),
    Bar("P8", "refusals meanwhile, p99", "overload.refusal-p99", _MOST, 250, unit="ms"),
    Bar("P8", "`/health` meanwhile, p99", "overload.health-p99", _MOST, 100, unit="ms"),
    Bar("P8", "memory meanwhile", "overload.memory", _MOST, 1.5, "overload.memory-before", "before"),
    Bar("P8", "until logins are as usual again", "overload.recovery", _MOST, 10, unit="s"),
    Bar("P9", "idle memory (PSS)", "single.idle", _MOST, 120, unit="MB"),
    Bar("P9", "start to first answer, existing database", "single.start", _MOST, 1.5, unit="s"),
    Bar("P10", "`ostiary user import`, SQLite", "single.import", _LEAST, 20_000, unit="/s"),
)
"""What must be shown, in the order of the page."""

WORKERS = "WORKERS"
"""One worker process beside two: measured with the bars, but none."""

FLOORS = (
    ("`GET /users/{id}`, SQLite", "sqlite.read", "a bare ASGI answer", "bare.answer"),
    ("`GET /users/{id}`, SQLite", "sqlite.read", "a bare indexed read in Python", "bare.sqlite"),
    ("`POST /auth/refresh`, SQLite", "sqlite.refresh", "a bare ASGI answer", "bare.answer"),
    ("`POST /auth/login`, all cores", "login.all-cores", "a bare Argon2id verification", "login.argon2"),
)
"""What ours is set beside to see where the time goes: not bars."""


def judge(bar: Bar, results: Results) -> Judgement:
    """Say how a bar stands; one without its figures is not met."""
    ours = results.median(bar.ours)
    theirs = results.median(bar.against) if bar.against else None
    if ours is None or (bar.against and not theirs):
        return Judgement(bar, ours, theirs, None, Verdict.NOT_MEASURED)
    value = ours / theirs if theirs else ours
    is_met = value >= bar.bound if bar.sense is Sense.AT_LEAST else value <= bar.bound
    return Judgement(bar, ours, theirs, value, Verdict.MET if is_met else Verdict.MISSED)


def chosen(only: str) -> set[str]:
    """Read `P1,P4`; empty chooses all, and what is measured beside the bars. Raises ValueError for one there is not."""
    known = {bar.id for bar in BARS} | {WORKERS}
    ids = {word.strip().upper() for word in only.split(",") if word.strip()}
    if ids - known:
        raise ValueError(f"there is no bar {', '.join(sorted(ids - known))}")
    return ids or known
