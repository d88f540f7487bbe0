from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.counters import SlidingWindows

LIMITS = st.integers(1, 5)
WINDOWS = st.sampled_from([1, 7, 60, 3600])
GAPS = st.lists(st.one_of(st.integers(0, 8), st.integers(0, 300), st.sampled_from([255, 256, 257])), max_size=80)
"""In 256ths of the window, which floats hold exactly: the assertions below need no tolerance."""


def moments(window: int, gaps: list[int]) -> list[float]:
    now, answer = 1000.0, []
    for gap in gaps:
        now += gap * window / 256
        answer.append(now)
    return answer


@pytest.mark.rule("RL-1")
@given(limit=LIMITS, window=WINDOWS, gaps=GAPS)
def test_no_stretch_serves_more_than_the_limit_and_nobody_waits_a_sixtieth_too_long(
    limit: int, window: int, gaps: list[int]
) -> None:
    windows = SlidingWindows(limit, window)
    served: list[float] = []
    for now in moments(window, gaps):
        if windows.hit("key", now).allowed:
            served.append(now)
            assert sum(moment >= now - window for moment in served) <= limit
        else:
            reach = window + window / 60
            assert sum(moment > now - reach for moment in served) >= limit


@pytest.mark.rule("RL-1")
@given(limit=LIMITS, window=WINDOWS, gaps=GAPS)
def test_after_retry_after_the_next_request_is_served_and_not_a_second_before(
    limit: int, window: int, gaps: list[int]
) -> None:
    windows = SlidingWindows(limit, window)
    for now in moments(window, gaps):
        verdict = windows.hit("key", now)
        if not verdict.allowed:
            assert deepcopy(windows).hit("key", now + verdict.reset_seconds).allowed
            assert not deepcopy(windows).hit("key", now + verdict.reset_seconds - 1).allowed


@given(limit=LIMITS, window=WINDOWS, gaps=GAPS)
def test_what_is_told_is_what_happens(limit: int, window: int, gaps: list[int]) -> None:
    windows = SlidingWindows(limit, window)
    for now in moments(window, gaps):
        verdict = windows.hit("key", now)
        assert verdict.reset_seconds >= 1
        assert places(windows, now) == verdict.remaining
        assert places(windows, now + verdict.reset_seconds) > verdict.remaining


def places(windows: SlidingWindows, now: float) -> int:
    """How many requests would be served at a moment."""
    trial = deepcopy(windows)
    served = 0
    while trial.hit("key", now).allowed:
        served += 1
    return served


def test_refused_requests_do_not_count() -> None:
    windows = SlidingWindows(2, 60)
    windows.hit("key", 0.0)
    windows.hit("key", 30.0)
    assert not any(windows.hit("key", float(now)).allowed for now in range(30, 61))
    assert windows.hit("key", 61.0).allowed


def test_keys_do_not_share_a_window() -> None:
    windows = SlidingWindows(1, 60)
    assert windows.hit("one", 0.0).allowed
    assert windows.hit("two", 0.0).allowed
    assert not windows.hit("one", 0.0).allowed


def test_a_moment_that_went_back_counts_like_the_latest() -> None:
    windows = SlidingWindows(2, 60)
    windows.hit("key", 100.0)
    assert windows.hit("key", 90.0).remaining == 0
    assert not windows.hit("key", 155.0).allowed


@pytest.mark.rule("RL-3")
@given(keys=st.lists(st.integers(0, 30), max_size=200))
def test_the_keys_kept_are_the_ones_heard_of_last(keys: list[int]) -> None:
    windows = SlidingWindows(1000, 60, max_keys=8)
    last: dict[int, int] = {}
    for key in keys:
        before = last.pop(key, 0)
        if len(last) == 8:
            last.pop(next(iter(last)))
        last[key] = before + 1
        assert windows.hit(key, 1.0).remaining == 1000 - last[key]
        assert len(windows) == len(last)


@pytest.mark.rule("RL-3")
def test_idle_keys_are_forgotten_while_new_ones_come() -> None:
    windows = SlidingWindows(1, 60)
    for key in range(1000):
        windows.hit(key, 0.0)
    for key in range(500):
        windows.hit(("new", key), 100.0)
    assert len(windows) == 500


@pytest.mark.parametrize(("limit", "window", "keys"), [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_window_that_could_never_serve_is_refused(limit: int, window: int, keys: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SlidingWindows(limit, window, keys)
