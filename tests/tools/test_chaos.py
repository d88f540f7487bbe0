"""`make chaos` runs nothing here: what is tried is the page that it writes."""

import json
from pathlib import Path

from tools.chaos import report
from tools.chaos.report import Results


def results(*, is_long: bool = True, only: str = "", passed: bool = True) -> Results:
    ready = {"value": 2.5, "at_most": 2.0, "at_least": None}
    served = {"value": 99.95, "at_most": None, "at_least": 99.9}
    acts = {"value": 12345, "at_most": None, "at_least": None}
    figures = {"ready again, s": ready, "served, %": served, "acts": acts}
    test = {"test": "test_a", "fault": "a plug is pulled", "rounds": 200, "passed": passed, "figures": figures}
    return {
        "date": "2026-01-01 00:00 UTC",
        "minutes": 7,
        "is_long": is_long,
        "only": only,
        "commit": "abc",
        "machine": {"cores": "2"},
        "tests": [test],
    }


def test_the_page_says_what_was_done_and_which_bounds_were_missed(tmp_path: Path) -> None:
    (tmp_path / report.RESULTS).write_text(json.dumps(results()))
    report.write(tmp_path)
    page = (tmp_path / report.PAGE).read_text()
    assert "| a plug is pulled | 200 | ready again, s | 2.5 | ≤ 2 | **missed** |" in page
    assert "|  |  | served, % | 99.95 | ≥ 99.9 | held |" in page
    assert "|  |  | acts | 12,345 |  |  |" in page
    assert "1 of 2 bounds were held" in page
    assert "| commit | abc |" in page
    assert "quick" not in page.partition("## How")[0]


def test_the_page_says_what_was_left_out_and_what_failed() -> None:
    page = report.page(results(is_long=False, only="killed", passed=False))
    assert "**A quick run**" in page
    assert "only what matches `killed`" in page
    assert "**Failed**: a plug is pulled." in page
