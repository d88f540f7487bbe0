"""The stages, decided purely (LG-3, LG-4): whatever is tried when and from where, no limit is exceeded."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.db.types import to_milliseconds
from ostiary.edge.source import Source
from ostiary.login.places import KNOWN_FOR, MOST_PLACES, Approach, approach_in_session, approach_to_user, network_of
from ostiary.login.stages import (
    ACCOUNT_FAILURES,
    ACCOUNT_WINDOW,
    KNOWN_FAILURES,
    KNOWN_WINDOW,
    MOST_KEPT,
    SOURCE_BLOCK,
    SOURCE_FAILURES,
    SOURCE_WINDOW,
    STRANGERS_FAILURES,
    Past,
    Verdict,
    judge,
)
from tests.clock import FakeClock

NOW = FakeClock().now()
START = to_milliseconds(NOW)
SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000


def approach(number: int, *, is_known: bool = False) -> Approach:
    address = f"10.{number >> 8}.{number & 255}.1"
    return approach_to_user(1, Source(address, address), known_since=NOW if is_known else None)


class Account:
    """Books attempts as the flow does, all of which fail, and remembers which were allowed."""

    def __init__(self) -> None:
        self.text, self.strangers = "{}", 0
        self.allowed: list[tuple[int, Approach, Verdict]] = []

    def attempt(self, who: Approach, at: int) -> Verdict:
        past = Past.stored(self.text, self.strangers, now=at)
        verdict = judge(past, who, now=at)
        if verdict.is_allowed:
            past = past.with_attempt(who, verdict, at)
            self.allowed.append((at, who, verdict))
        self.text, self.strangers = past.to_store(), past.strangers
        return verdict

    def succeed(self, who: Approach, at: int) -> None:
        past = Past.stored(self.text, self.strangers, now=at).after_success(who)
        self.text, self.strangers = past.to_store(), past.strangers


def most_within(moments: list[int], window: int) -> int:
    return max((sum(0 <= other - first < window for other in moments) for first in moments), default=0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, SECOND, 20 * SECOND, MINUTE, 5 * MINUTE, 20 * MINUTE, HOUR]),
        st.integers(0, 7),
        st.integers(1, 25),
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.rule("LG-3", "LG-4")
@given(steps=STEPS)
@settings(max_examples=60)
def test_no_limit_is_exceeded_whatever_comes(steps: list[tuple[int, int, int]]) -> None:
    """Two of the eight places are known. Many attempts from each, and all of them fail."""
    account, at = Account(), START
    for wait, place, times in steps:
        at += wait
        for _ in range(times):
            account.attempt(approach(place, is_known=place < 2), at)
    strangers = [(moment, who) for moment, who, verdict in account.allowed if verdict is Verdict.STRANGER]
    known = [(moment, who) for moment, who, verdict in account.allowed if verdict is Verdict.KNOWN]
    assert len(strangers) <= STRANGERS_FAILURES
    for source in {who.source for _, who, _ in account.allowed}:
        assert (
            most_within([moment for moment, who in strangers if who.source == source], 15 * MINUTE) <= SOURCE_FAILURES
        )
        assert most_within([moment for moment, who in known if who.source == source], HOUR) <= KNOWN_FAILURES
    for index, (moment, who, verdict) in enumerate(account.allowed):
        before = [(other, them) for other, them, _ in account.allowed[:index]]
        is_slowed = sum(moment - other < HOUR for other, _ in before) >= ACCOUNT_FAILURES
        if is_slowed and verdict is Verdict.STRANGER:
            assert all(moment - other >= MINUTE for other, them in before if them.source == who.source)


@pytest.mark.rule("LG-3")
def test_no_more_is_kept_than_has_a_bound_even_where_the_owner_keeps_signing_in() -> None:
    account, home = Account(), approach(0, is_known=True)
    verdicts = []
    for number in range(1, 4 * STRANGERS_FAILURES):
        verdicts.append(account.attempt(approach(number), START))
        if not number % 90:
            account.attempt(home, START)
            account.succeed(home, START)
    assert verdicts[MOST_KEPT - 1 :].count(Verdict.STRANGER) == 1
    assert verdicts[-1] is Verdict.FULL
    assert account.attempt(home, START) is Verdict.KNOWN
    assert account.attempt(approach(9999), START + HOUR) is Verdict.STRANGER


@pytest.mark.rule("LG-3", "FL-5")
def test_failures_from_a_clock_that_was_far_ahead_refuse_nobody_for_long() -> None:
    account = Account()
    for _ in range(SOURCE_FAILURES):
        account.attempt(approach(1), START + 24 * HOUR)
    assert account.attempt(approach(1), START) is Verdict.STRANGER


@pytest.mark.rule("LG-3")
def test_what_was_withdrawn_leaves_no_trace_and_cannot_be_withdrawn_twice() -> None:
    first, second = approach(1), approach(2)
    past = Past({}, 0).with_attempt(first, Verdict.STRANGER, START).with_attempt(second, Verdict.STRANGER, START)
    once = past.without_attempt(first, Verdict.STRANGER, START)
    assert once.strangers == 1
    assert once.without_attempt(first, Verdict.STRANGER, START) == once
    assert Past({}, 0).without_attempt(first, Verdict.STRANGER, START).strangers == 0


@pytest.mark.rule("LG-4")
@pytest.mark.parametrize(
    ("source", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8::/64", "2001:db8::/48"),
        ("unix", "unix"),
        ("session:abc", "session:abc"),
    ],
)
def test_networks_that_are_known(source: str, network: str) -> None:
    assert network_of(source) == network


@pytest.mark.rule("LG-4", "PW-7")
def test_a_signed_in_caller_is_known_by_his_network_or_else_by_his_session() -> None:
    source = Source("192.0.2.77", "192.0.2.77")
    home = approach_in_session(1, "sid", source, known_since=NOW, now=NOW)
    assert home == approach_to_user(1, source, known_since=NOW), "counted with the logins from there"
    away = approach_in_session(1, "sid", source, known_since=None, now=NOW)
    assert away.source == away.network == "session:sid"
    assert away.is_known(now=NOW)


@pytest.mark.rule("LG-3", "LG-4")
def test_the_page_has_the_numbers_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "throttling.md").read_text()
    for written in (
        f"{SOURCE_FAILURES} failures from one source within {SOURCE_WINDOW // timedelta(minutes=1)} minutes",
        f"that source is refused for {SOURCE_BLOCK // timedelta(minutes=1)} minutes",
        f"{ACCOUNT_FAILURES} failures within an hour, from anywhere",
        f"{STRANGERS_FAILURES} failures, however slowly",
        f"{MOST_KEPT} failures within an hour, from anywhere",
        f"up to {KNOWN_FAILURES} failures within an hour",
        f"within {KNOWN_FOR.days} days (the latest {MOST_PLACES} are remembered",
        *(f"`{verdict}` (" for verdict in Verdict if not verdict.is_allowed and verdict is not Verdict.FULL),
    ):
        assert written in page
    assert {ACCOUNT_WINDOW, KNOWN_WINDOW} == {timedelta(hours=1)}
