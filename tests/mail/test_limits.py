"""How often mail can be asked for."""

import asyncio
from datetime import timedelta

import pytest

from ostiary.counters import Counters
from ostiary.durations import Rate
from ostiary.mail.limits import MailLimits
from tests.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limits(clock: FakeClock) -> MailLimits:
    return MailLimits(
        Rate(3, timedelta(minutes=15)),
        Rate(10, timedelta(hours=1)),
        counters=Counters(clock),
        lookup_hash=lambda value: value[::-1],
    )


def allowed(limits: MailLimits, address: str, source: str) -> bool:
    return asyncio.run(limits.allowed(address=address, source=source))


@pytest.mark.rule("SU-6")
def test_three_to_an_address_in_a_quarter_of_an_hour_from_wherever(limits: MailLimits, clock: FakeClock) -> None:
    assert [allowed(limits, "a@b.example", f"203.0.113.{n}") for n in range(5)] == [True] * 3 + [False] * 2
    assert allowed(limits, "c@b.example", "203.0.113.0")
    clock.advance(minutes=15, seconds=15)
    assert allowed(limits, "a@b.example", "203.0.113.0")


@pytest.mark.rule("SU-6")
def test_ten_of_a_source_in_an_hour_to_whomever(limits: MailLimits, clock: FakeClock) -> None:
    asked = [allowed(limits, f"{n}@b.example", "203.0.113.1") for n in range(12)]
    assert asked == [True] * 10 + [False] * 2
    clock.advance(minutes=61)
    assert allowed(limits, "1@b.example", "203.0.113.1")


@pytest.mark.rule("SU-6")
def test_a_source_beyond_its_limit_uses_nothing_of_an_address(limits: MailLimits) -> None:
    for n in range(10):
        allowed(limits, f"{n}@b.example", "203.0.113.1")
    for _ in range(20):
        assert not allowed(limits, "victim@b.example", "203.0.113.1")
    assert allowed(limits, "victim@b.example", "203.0.113.2")
