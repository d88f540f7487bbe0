"""The parts of `make bench` that measure nothing: verdicts, the page, and reading answers off the wire."""

from dataclasses import replace
from pathlib import Path

import pytest
from tools.bench import bars, report, several
from tools.bench.bars import BARS, Sense, Verdict, judge
from tools.bench.client import Tally, body_length, request
from tools.bench.load import Spot, get
from tools.bench.quantiles import latency_ms
from tools.bench.results import Figure, Results

READ = BARS[0]
START = next(bar for bar in BARS if bar.ours == "single.start")
ABOUT = {
    "date": "2026-01-01 00:00 UTC",
    "rounds": 3,
    "seconds": 5.0,
    "quick": False,
    "bars": ["P1", "P9"],
    "load_before": "0.01",
    "machine": {"cores": "2"},
    "versions": {"Python": "3.11"},
}


def results(**medians: float) -> Results:
    figures = {key.replace("_", "."): Figure("/s", [0.0, value, 1e9]) for key, value in medians.items()}
    return Results(about=dict(ABOUT), figures=figures)


@pytest.mark.parametrize(
    ("ours", "verdict"), [(3000.0, Verdict.MET), (2999.0, Verdict.MISSED), (30_000.0, Verdict.MET)]
)
def test_ratio_is_judged_by_the_medians(ours: float, verdict: Verdict) -> None:
    judgement = judge(READ, results(sqlite_read=ours, pocketbase_read=1000.0))
    assert judgement.verdict is verdict
    assert judgement.value == ours / 1000


@pytest.mark.parametrize(("seconds", "verdict"), [(1.5, Verdict.MET), (1.51, Verdict.MISSED)])
def test_bound_is_judged_in_its_own_unit(seconds: float, verdict: Verdict) -> None:
    assert START.sense is Sense.AT_MOST
    assert judge(START, results(single_start=seconds)).verdict is verdict


@pytest.mark.parametrize(
    "measured", [{}, {"sqlite_read": 1.0}, {"pocketbase_read": 1.0}, {"sqlite_read": 1.0, "pocketbase_read": 0.0}]
)
def test_bar_without_its_figures_is_not_met(measured: dict[str, float]) -> None:
    assert judge(READ, results(**measured)).verdict is Verdict.NOT_MEASURED


def test_bars_are_chosen_by_name() -> None:
    assert bars.chosen("p1, P4") == {"P1", "P4"}
    assert bars.chosen("") == {f"P{number}" for number in range(1, 11)} | {bars.WORKERS}
    with pytest.raises(ValueError, match="P11"):
        bars.chosen("P1,P11")


def test_page_shows_both_sides_ratio_bar_and_verdict() -> None:
    page = report.page(results(sqlite_read=2500.0, pocketbase_read=1000.0, single_start=1.0), [("a.svg", "A plot")])
    assert "| 2,500 | 1,000 (PocketBase, own record, 100,000) | 2.5 \u00d7 | \u2265 3 \u00d7 | **missed** |" in page
    assert "| 1 s | \u2264 1.5 s | met |" in page
    assert "| **not measured** |" in page  # idle memory
    assert "1 of 3 bars are met." in page
    assert "![A plot](a.svg)" in page
    assert "Not measured:" not in page
    assert "A quick run" not in page


def test_page_sets_two_workers_beside_one() -> None:
    shown = results()
    for count, rate in ((1, 1000.0), (2, 1700.0)):
        shown.figures[several.key(count, "refresh")] = Figure("/s", [rate])
    shown.figures[several.key(1, "login")] = Figure("/s", [50.0])
    page = report.page(shown, [])
    assert "| refresh | 1,000 | 1,700 | 1.7 \u00d7 |" in page
    assert "share the machine's 2 cores" in page
    assert "| login | 50" not in page, "there is nothing beside it"
    assert "Several processes" not in report.page(results(), [])


def test_page_hides_nothing_that_went_wrong() -> None:
    shown = results(sqlite_read=2500.0)
    shown.fail("sqlite.refresh", "answers by status: {'401': 3}")
    shown.figures["sqlite.read"] = replace(shown.figures["sqlite.read"], busy=0.97)
    shown.about["quick"] = True
    page = report.page(shown, [])
    assert "- Not measured: sqlite.refresh: answers by status: {'401': 3}" in page
    assert "the load generator was 97% busy" in page
    assert "A quick run" in page


def test_results_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    kept = results(sqlite_read=2500.0)
    kept.save(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == kept


def test_latencies_are_kept_by_percentile() -> None:
    kept = latency_ms([number / 1000 for number in range(1, 101)])
    assert (kept["50"], kept["99"], kept["100"]) == (51.0, 100.0, 100.0)
    assert latency_ms([]) == {}


def test_request_carries_the_latest_token_and_its_true_length() -> None:
    content = request("POST / HTTP/1.1\r\n", '{"refresh_token":"{token}"}', "abc")
    assert content == b'POST / HTTP/1.1\r\nContent-Length: 23\r\n\r\n{"refresh_token":"abc"}'


def test_answers_are_counted_by_status_and_refusals_checked() -> None:
    assert body_length(b"HTTP/1.1 200 OK\r\nContent-Length: 17") == 17
    tally = Tally()
    tally.count(b"HTTP/1.1 200 OK\r\n\r\n", 0.1)
    tally.count(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\n\r\n", 0.1)
    tally.count(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 0.1)
    assert {status: len(taken) for status, taken in tally.taken.items()} == {"200": 1, "503": 2}
    assert tally.without_retry_after == 1


def test_pattern_leaves_room_for_the_number() -> None:
    pattern = get(Spot("127.0.0.1", 80), "/users/{n}", "X: y")
    assert pattern.before == "GET /users/"
    assert pattern.after.startswith(" HTTP/1.1\r\nHost: 127.0.0.1:80\r\n")
    assert pattern.after.endswith("X: y\r\n\r\n")
