"""Settings are tried in an empty directory, with nothing given."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start in an empty working directory with no variable of ours."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("OSTIARY_")]:
        monkeypatch.delenv(name)
