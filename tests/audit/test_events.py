"""The list of events: all of them explained, on the page too, and all of them recorded somewhere."""

import re
from pathlib import Path

import pytest

from ostiary.audit.events import MEANINGS, Event

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([a-z_]+)` \| (.+) \|$", re.MULTILINE)


def test_page_lists_every_event_with_its_meaning() -> None:
    page = dict(ROW.findall((ROOT / "docs" / "audit.md").read_text()))
    assert page == {event.value: meaning for event, meaning in MEANINGS.items()}
    assert list(MEANINGS) == list(Event)


@pytest.mark.parametrize("event", list(Event))
def test_every_event_is_recorded_by_some_flow(event: Event) -> None:
    source = ROOT / "src" / "ostiary"
    texts = [path.read_text() for path in source.rglob("*.py") if path.name != "events.py"]
    assert any(re.search(rf"Event\.{event.name}\b", text) for text in texts)
