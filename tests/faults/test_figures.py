"""Figures are kept as they are asked for, and say which bounds were missed."""

import json
from pathlib import Path

import pytest

from tests.faults.figures import LONG, RESULTS, Figures


def test_rounds_are_more_in_the_long_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = Figures("test_a", "a")
    monkeypatch.delenv(LONG, raising=False)
    assert len(figures.times(2, long=9)) == figures.rounds == 2
    monkeypatch.setenv(LONG, "1")
    assert len(figures.times(2, long=9)) == figures.rounds == 9


def test_figures_are_appended_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "results"
    monkeypatch.setenv(RESULTS, str(file))
    figures = Figures("test_a", "a plug is pulled")
    for seconds in (1.25, 2.5):
        figures.at_most("ready, s", seconds, 2)
        figures.at_least("served, %", 99.5, 99.9)
        figures["acts"] = 7
        figures.keep(passed=True)
    first, second = map(json.loads, file.read_text().splitlines())
    assert first["figures"]["ready, s"] == {"value": 1.25, "at_most": 2, "at_least": None}
    assert (first["test"], first["passed"], first["rounds"]) == ("test_a", True, 1)
    assert second["figures"]["acts"]["value"] == 7
    assert str(figures) == (
        "| a plug is pulled | 1 | ready, s: 2.5 (at most 2: MISSED); served, %: 99.5 (at least 99.9: MISSED); acts: 7 |"
    )


def test_without_being_asked_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RESULTS, raising=False)
    monkeypatch.chdir(tmp_path)
    Figures("test_a", "a").keep(passed=False)
    assert list(tmp_path.iterdir()) == []
