"""How many guesses an account takes, decided from its recent failures: the stages of LG-3 and the budget of LG-4.

For an attempt from a place that the account does not know, each stage is asked, the hardest first:

    locked    100 failures from such places since the last success: refused, until a success elsewhere or recovery
    blocked   10 failures from this source within 15 minutes: refused for 15 minutes
    slowed    50 failures from everywhere within an hour: one attempt a minute from each source
    full      more failures within an hour than are kept: refused

A known place has 30 failures an hour instead of all that. Beyond them it is a place like any other.
"""

import json
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from ostiary.db.types import from_milliseconds
from ostiary.login.places import Approach

SOURCE_FAILURES = 10
SOURCE_WINDOW = timedelta(minutes=15)
SOURCE_BLOCK = timedelta(minutes=15)

ACCOUNT_FAILURES = 50
ACCOUNT_WINDOW = timedelta(hours=1)
SLOWED_TO = timedelta(minutes=1)

STRANGERS_FAILURES = 100

KNOWN_FAILURES = 30
KNOWN_WINDOW = timedelta(hours=1)

KEPT_FOR = max(SOURCE_WINDOW + SOURCE_BLOCK, ACCOUNT_WINDOW, KNOWN_WINDOW)
MOST_KEPT = 300
"""Failures of strangers within that time. To come so far, the owner must have signed in twice meanwhile."""

_MILLISECOND = timedelta(milliseconds=1)

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Verdict(StrEnum):
    """What an attempt may do, and why."""

    KNOWN = "known"
    """Be verified, on a known place's budget."""
    STRANGER = "stranger"
    """Be verified, as one from a place that is not known."""
    BLOCKED = "blocked"
    SLOWED = "slowed"
    LOCKED = "locked"
    FULL = "full"

    @property
    def is_allowed(self) -> bool:
        """Say whether the attempt may be verified at all."""
        return self in {Verdict.KNOWN, Verdict.STRANGER}


class Past(NamedTuple):
    """The failures of an account that still matter. Attempts count as failures until they are known to be none."""

    failures: dict[str, dict[str, list[int]]]
    """When, in milliseconds since 1970, oldest first; by network, and in it by source."""
    strangers: int
    """How many there were from places not known since the last success."""

    @classmethod
    def stored(cls, failures: str, strangers: int, *, now: int) -> "Past":
        """Read what is stored, leaving out what is too old, or so far ahead that the clock must have been wrong."""
        networks: dict[str, dict[str, list[int]]] = json.loads(failures)
        kept_for = KEPT_FOR // _MILLISECOND
        for network, sources in list(networks.items()):
            for source, moments in list(sources.items()):
                sources[source] = [moment for moment in moments if abs(now - moment) < kept_for]
                if not sources[source]:
                    del sources[source]
            if not sources:
                del networks[network]
        return cls(networks, strangers)

    def to_store(self) -> str:
        """Answer the failures as they are stored."""
        return _encode(self.failures)

    def of(self, approach: Approach) -> list[int]:
        """Answer the failures of a source."""
        return self.failures.get(approach.network, {}).get(approach.source, [])

    def with_attempt(self, approach: Approach, verdict: Verdict, at: int) -> "Past":
        """Add an attempt that may be verified."""
        self.failures.setdefault(approach.network, {}).setdefault(approach.source, []).append(at)
        return self._replace(strangers=self.strangers + (verdict is Verdict.STRANGER))

    def without_attempt(self, approach: Approach, verdict: Verdict, at: int) -> "Past":
        """Take an attempt out again; what is not there, as after a success meanwhile, stays so."""
        moments = self.of(approach)
        if at not in moments:
            return self
        moments.remove(at)
        return self._replace(strangers=max(0, self.strangers - (verdict is Verdict.STRANGER)))

    def after_success(self, approach: Approach) -> "Past":
        """Forget the failures of the source that has succeeded, and that those of strangers followed each other."""
        self.failures.get(approach.network, {}).pop(approach.source, None)
        return Past({network: sources for network, sources in self.failures.items() if sources}, 0)


def judge(past: Past, approach: Approach, *, now: int) -> Verdict:
    """Decide what an attempt may do."""
    if approach.is_known(now=from_milliseconds(now)):
        in_network = [moment for moments in past.failures.get(approach.network, {}).values() for moment in moments]
        if _count_within(KNOWN_WINDOW, in_network, now) < KNOWN_FAILURES:
            return Verdict.KNOWN
    if past.strangers >= STRANGERS_FAILURES:
        return Verdict.LOCKED
    own = past.of(approach)
    if _is_blocked(own, now):
        return Verdict.BLOCKED
    everywhere = [moment for sources in past.failures.values() for moments in sources.values() for moment in moments]
    is_slowed = _count_within(ACCOUNT_WINDOW, everywhere, now) >= ACCOUNT_FAILURES
    if is_slowed and _count_within(SLOWED_TO, own, now):
        return Verdict.SLOWED
    return Verdict.STRANGER if len(everywhere) < MOST_KEPT else Verdict.FULL


def _is_blocked(moments: list[int], now: int) -> bool:
    """Decide by a source's last ten failures: so many so close together block for a while."""
    if len(moments) < SOURCE_FAILURES:
        return False
    first, last = moments[-SOURCE_FAILURES], moments[-1]
    return last - first < SOURCE_WINDOW // _MILLISECOND and now < last + SOURCE_BLOCK // _MILLISECOND


def _count_within(window: timedelta, moments: list[int], now: int) -> int:
    span = window // _MILLISECOND
    return sum(now - moment < span for moment in moments)
