"""How often mail can be asked for."""

from datetime import timedelta

import pytest

from ostiary.durations import Rate
from ostiary.mail.limits import MailLimits
from tests.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limits(clock: FakeClock) -> MailLimits:
    return MailLimits(
        Rate(3, timedelta(minutes=15)), Rate(10, timedelta(hours=1)), clock=clock, lookup_hash=lambda value: value[::-1]
    )


@pytest.mark.rule("SU-6")
def test_three_to_an_address_in_a_quarter_of_an_hour_from_wherever(limits: MailLimits, clock: FakeClock) -> None:
    assert [limits.allowed(address="a@b.example", source=f"203.0.113.{n}") for n in range(5)] == [True] * 3 + [
        False
    ] * 2
    assert limits.allowed(address="c@b.example", source="203.0.113.0")
    clock.advance(minutes=15, seconds=15)
    assert limits.allowed(address="a@b.example", source="203.0.113.0")


@pytest.mark.rule("SU-6")
def test_ten_of_a_source_in_an_hour_to_whomever(limits: MailLimits, clock: FakeClock) -> None:
    asked = [limits.allowed(address=f"{n}@b.example", source="203.0.113.1") for n in range(12)]
    assert asked == [True] * 10 + [False] * 2
    clock.advance(minutes=61)
    assert limits.allowed(address="1@b.example", source="203.0.113.1")


@pytest.mark.rule("SU-6")
def test_a_source_beyond_its_limit_uses_nothing_of_an_address(limits: MailLimits) -> None:
    for n in range(10):
        limits.allowed(address=f"{n}@b.example", source="203.0.113.1")
    for _ in range(20):
        assert not limits.allowed(address="victim@b.example", source="203.0.113.1")
    assert limits.allowed(address="victim@b.example", source="203.0.113.2")
