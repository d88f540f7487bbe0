"""The wall clock is stepped while people act: nobody is signed out, and nothing lives longer or is good again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from ostiary.clock import SystemClock
from ostiary.settings import Settings
from tests.conftest import settings_for_tests
from tests.faults.figures import Figures, is_long
from tests.faults.intact import ENVIRONMENT, assert_intact
from tests.ledger import Ledger
from tests.parts.debian import installed
from tests.people import signed_in
from tests.server import Process, Server
from tests.sessions.answers import works
from tests.sessions.beside import rows
from tests.sessions.waiting import wait_until

SECOND_NS = 10**9


class Machine:
    """The two clocks of a machine."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000 * SECOND_NS
        self.monotonic = 1000 * SECOND_NS

    def pass_time(self, seconds: int) -> None:
        self.wall += seconds * SECOND_NS
        self.monotonic += seconds * SECOND_NS

    def step(self, seconds: int) -> None:
        self.wall += seconds * SECOND_NS

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall, lambda: self.monotonic)


@pytest.mark.rule("FL-5")
@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        ([], 0),
        ([-60], -60),
        ([-61], 0),
        ([-3600], 0),
        ([-50, -50], 0),
        ([3600], 3600),
        ([3600, -3600], 0),
        ([3600, -7200], 0),
        ([-3600, 3600], 0),
    ],
)
def test_a_step_back_of_more_than_a_minute_is_not_followed(steps: list[int], seconds: int) -> None:
    """Where the clock stands after steps, beside one that nobody stepped."""
    machine = Machine()
    clock, began_at = machine.clock(), machine.clock().now()
    for step in steps:
        machine.step(step)
        machine.pass_time(10)
    assert clock.now() - began_at == timedelta(seconds=10 * len(steps) + seconds)
    assert machine.clock().now().timestamp() == machine.wall / SECOND_NS, "a new start takes it as it is"


class Stepped(NamedTuple):
    """A server whose wall clock is stepped: `step` takes by how many seconds it is off from then on."""

    url: str
    step: Callable[[int], object]


@contextmanager
def in_this_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stepped]:
    off = [0]
    clock = SystemClock(lambda: time.time_ns() + off[0] * SECOND_NS)
    monkeypatch.setattr("tests.server.FakeClock", lambda: clock)
    with Server(settings) as server:
        yield Stepped(server.url, lambda seconds: off.__setitem__(0, seconds))


@contextmanager
def under_libfaketime(settings: Settings) -> Iterator[Stepped]:
    """A whole process, for the long mode: libfaketime makes it ten times as slow."""
    installed("faketime")
    library = next(path for place in ("lib", "lib64") for path in Path("/usr", place).glob("**/libfaketime.so.1"))
    offset = settings.data_dir.with_name("offset")
    offset.write_text("+0")
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with Process(settings.data_dir, environment=ENVIRONMENT | environment) as process:
        yield Stepped(process.url, lambda seconds: offset.write_text(f"{seconds:+d}"))


@pytest.mark.any_engine
@pytest.mark.rule("FL-5")
@pytest.mark.timeout(3600)
def test_people_go_on_while_the_clock_is_stepped(
    tmp_path: Path, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures.fault = "the wall clock is stepped back by hours, and both ways by less than a minute"
    settings = settings_for_tests(tmp_path / "data", None)
    stepped = under_libfaketime(settings) if is_long() else in_this_process(settings, monkeypatch)
    with stepped as server, httpx.Client(base_url=f"{server.url}/api/v1", timeout=60, trust_env=False) as client:
        ledger = Ledger(lambda: server.url, people=2, pause_seconds=0)
        early = signed_in(client)
        for _ in figures.times(1, long=10):
            with ledger:
                for seconds in (-3600, 40, 0, -15, -86400):
                    server.step(seconds)
                    ledger.go_on(writes=1)
            found = ledger.check()
            assert found.is_clean, str(found)
            assert not found.server_errors
        end = time.monotonic() + 120
        while rows(settings, "SELECT count(*) FROM mail_outbox") != [(0,)]:
            assert time.monotonic() < end, "what was due by a clock ahead waits for that moment, and no longer"
            time.sleep(0.1)
        wait_until(lambda: rows(settings, "SELECT count(*) FROM audit_log WHERE place IS NULL") == [(0,)])
        server.step(3600)
        assert not works(client, early.access_token), "a step ahead is followed"
        server.step(-3600)
        if not is_long():  # where a quarter of an hour may be over by now
            assert works(client, early.access_token), "and so is its being put right, as far as where it should be"
    assert_intact(settings)
    figures["acts acknowledged"] = ledger.found.acts
    figures.at_most("answered 401 though signed in", len(ledger.found.unexpected_401s), 0)
    figures.at_most("spent or ended, and taken again", len(ledger.found.revived), 0)
