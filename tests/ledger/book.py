"""What all people of a ledger share: the server, what they are told to do, and the book they write in."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import httpx

from tests.ledger.findings import SERVER_ERROR, Act, Findings

WEIGHTS: Mapping[str, int] = MappingProxyType(
    {"read": 30, "rotate": 40, "rename": 15, "log_in": 6, "log_out": 5, "sign_up": 2}
)
"""How often people do what."""
WRITES = frozenset(WEIGHTS) - {"read"}


@dataclass
class Account:
    """A user as he knows himself."""

    email: str
    username: str
    is_certain: bool = False
    """Whether his sign-up was acknowledged."""
    maybe: dict[str, float] = field(default_factory=dict)
    """Usernames that he asked for without an answer, and when."""

    def may_be(self, username: str) -> bool:
        return username == self.username or username in self.maybe


@dataclass
class Login:
    """A session as its client knows it."""

    account: Account
    access: str
    live: str
    since: float
    """When the access token was received."""
    spent: list[str] = field(default_factory=list)
    """Tokens whose successor was received."""
    unsure_since: float | None = None
    """When the live token was first presented without an answer: it may be spent."""


@dataclass
class Book:
    """The book. `where` answers where the server is now: it is asked before each act."""

    where: Callable[[], str]
    seed: int
    weights: Mapping[str, int]
    pause_seconds: float
    timeout_seconds: float
    replay_window_seconds: float
    late_seconds: float
    found: Findings = field(default_factory=Findings)
    acts: list[Act] = field(default_factory=list)
    signed_up: list[Account] = field(default_factory=list)
    """Whoever signed up since the last check, or perhaps did."""
    ended: list[Login] = field(default_factory=list)
    """Sessions whose log-out was acknowledged since the last check."""
    perhaps_ended: list[Login] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _succeeded_at: dict[bool, float] = field(default_factory=dict)

    def open(self) -> None:
        """Begin to count the time without success."""
        self.stopped.clear()
        now = time.monotonic()
        self._succeeded_at = {True: now, False: now}

    def close(self) -> None:
        with self._lock:
            self._note_success(time.monotonic(), is_write=True)

    def note(self, act: Act) -> None:
        """Write an act down."""
        with self._lock:
            self.acts.append(act)
            found, status = self.found, act.status
            if status is None:
                found.unanswered += 1
            elif status >= SERVER_ERROR:
                found.server_errors[status] += 1
            elif status == 429:
                found.limited += 1
            elif act.is_success:
                found.acknowledged[act.what] += 1
                found.latencies.setdefault(act.what, []).append(act.seconds)
                self._note_success(act.began_at + act.seconds, is_write=act.what in WRITES)

    def _note_success(self, now: float, *, is_write: bool) -> None:
        gap = now - self._succeeded_at[is_write]
        self._succeeded_at[is_write] = max(now, self._succeeded_at[is_write])
        if is_write:
            self.found.longest_gap_seconds = max(self.found.longest_gap_seconds, gap)
        else:
            self.found.longest_read_gap_seconds = max(self.found.longest_read_gap_seconds, gap)

    def find(self, kind: str, text: str) -> None:
        with self._lock:
            getattr(self.found, kind).append(text)

    def is_late(self, login: Login) -> bool:
        """Whether a token that may be spent is presented again only when a retry no longer counts as one."""
        unsure = login.unsure_since
        return unsure is not None and time.monotonic() - unsure >= self.replay_window_seconds

    def client(self) -> httpx.Client:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)  # see tests/server.py
        return httpx.Client(timeout=self.timeout_seconds, trust_env=False, verify=False, limits=limits)
