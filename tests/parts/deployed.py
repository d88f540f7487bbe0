"""The files of `deploy/`, filled in for a test."""

from collections.abc import Mapping
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"


def filled(name: str, replaced: Mapping[str, str]) -> str:
    """Read a file with everything replaced; what it does not contain, or still contains of the example, is an error."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    for old, new in replaced.items():
        assert old in text, f"deploy/{name} does not contain {old!r}"
        text = text.replace(old, new)
    settings = "\n".join(line.partition("#")[0] for line in text.splitlines())
    assert "10.0.0." not in settings, settings
    assert "change-me" not in settings, settings
    return text
