"""The log: JSON lines for machines, columns for people; UTC, with the request's id, and nothing secret (LA-1, LA-2)."""

import logging
import re
import sys
import unicodedata
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ostiary.settings import Settings

_BIDI_AND_FORMAT = "Cf"
_CONTROL = "Cc"
_QUOTED = re.compile(
    r"(DETAIL:|CONTEXT:|\[parameters:|invalid input for query argument \$\d+:|invalid input syntax for type [\w ]+:)"
    r".*?(?=\n\[SQL|\nHINT:|\n\n|\nTraceback|\nThe above|\Z)",
    re.DOTALL,
)
_LINES = frozenset({"Zl", "Zp"})
_FIRST = ("timestamp", "level", "event", "request_id")


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Set up the process's log, for our own lines and those of the libraries. For programs, not for `create_app`."""
    stream = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        drop_values,
        arrange,
    ]
    # JSON in ASCII has every control and bidi mark escaped; columns for people need it done.
    render: list[Processor] = [structlog.processors.JSONRenderer(ensure_ascii=True)]
    if not as_json:
        render = [escape_controls, structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=24)]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render]
        )
    )
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # its warnings are of callers' mistakes
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def arrange(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put first what readers look for first, and leave out what has nothing to say."""
    first = {name: event[name] for name in _FIRST if name in event}
    return first | {name: value for name, value in event.items() if value is not None and value != ""}


def drop_values(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take out of a traceback what databases quote: a row that a constraint refused holds addresses and hashes."""
    if "exception" in event:
        event["exception"] = _QUOTED.sub(r"\1 (left out)", str(event["exception"]))
    return event


def escape_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Write controls, escapes and bidi marks as escapes, so that no caller can draw on an operator's terminal."""
    return {name: _escaped(value) if isinstance(value, str) else value for name, value in event.items()}


def _escaped(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    category = unicodedata.category(character)
    if category in {_CONTROL, _BIDI_AND_FORMAT, "Cs"} or category in _LINES:
        return character if character == "\n" else character.encode("unicode_escape").decode("ascii")
    return character
