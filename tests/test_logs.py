"""What a traceback in the log may not hold: the values that databases quote in their errors."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from ostiary.logs import configure_logging
from tests.conftest import settings_for_tests

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$dGFn"
QUOTED = [
    f"new row violates check constraint\nDETAIL:  Failing row contains (2, {HASH}, null).",
    f"(IntegrityError) duplicate key\nDETAIL:  Key (email_key)=({HASH}) already exists.\n[SQL: INSERT INTO users]",
    f"statement failed\n[parameters: ({HASH!r}, 1)]",
    f"invalid input for query argument $1: '{HASH}' (expected int)",
]


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    """Undo what the block does to the process's logging."""
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn.error")
    ours, handlers, levels = structlog.get_config(), root.handlers[:], (root.level, uvicorn.level)
    try:
        yield
    finally:
        structlog.configure(**ours)
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        uvicorn.setLevel(levels[1])


@pytest.mark.rule("LA-2")
@pytest.mark.parametrize("text", QUOTED)
@pytest.mark.parametrize("form", ["json", "console"])
def test_values_that_a_database_quotes_stay_out_of_the_log(text: str, form: str, tmp_path: Path) -> None:
    stream = io.StringIO()
    with logging_as_it_was():
        configure_logging(settings_for_tests(tmp_path, None, log_format=form), stream)
        structlog.get_logger().error("unhandled_error", exc_info=RuntimeError(text))
    written = stream.getvalue()
    assert HASH not in written
    assert "RuntimeError" in written
    assert "(left out)" in written
    if form == "json":
        assert json.loads(written)["event"] == "unhandled_error"
