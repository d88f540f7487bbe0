"""What a traceback in the log may not hold: the values that databases quote in their errors."""

import errno
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


class FullDisk(io.StringIO):
    """A stream on a disk that is full for a while."""

    is_full = False

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


@pytest.mark.rule("FL-2")
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_log_that_cannot_be_written_fails_nobody_and_says_how_much_is_missing(
    tmp_path: Path, log_format: str
) -> None:
    stream = FullDisk()
    with logging_as_it_was():
        configure_logging(settings_for_tests(tmp_path, None, log_format=log_format), stream)
        log = structlog.get_logger("test")
        log.info("before")
        stream.is_full = True
        log.info("lost")
        logging.getLogger("asyncio").warning("lost too")
        stream.is_full = False
        log.info("after")
        log.info("later")
    lines = stream.getvalue().splitlines()
    assert [
        name for line in lines for name in ("before", "after", "log_lines_lost", "later", "lost too") if name in line
    ] == [
        "before",
        "after",
        "log_lines_lost",
        "later",
    ]
    assert ('"count": 2' if log_format == "json" else "count=2") in lines[2]
