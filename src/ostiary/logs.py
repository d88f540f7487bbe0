"""The log: JSON lines for machines, columns for people; UTC, with the request's id, and nothing secret (LA-1, LA-2)."""

import json
import logging
import re
import sys
import unicodedata
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from ostiary.settings import Settings

_BIDI_AND_FORMAT = "Cf"
_CONTROL = "Cc"
_QUOTED = re.compile(
    r"(DETAIL:|CONTEXT:|\[parameters:|invalid input for query argument \$\d+:|invalid input syntax for type [\w ]+:)"
    r".*?(?=\n\[SQL|\nHINT:|\n\n|\nTraceback|\nThe above|\Z)",
    re.DOTALL,
)
_LINES = frozenset({"Zl", "Zp"})
REQUEST_ID: ContextVar[str] = ContextVar("request_id")
"""The id of the request that is being answered, for every line that the log gets meanwhile."""

JOB: ContextVar[str] = ContextVar("job")
"""The work in the background that is being done, for its lines in the log; they belong to no request."""

REQUEST = "request"
"""The event of the line that each request gets (`edge/requests.py`)."""

_quote = json.encoder.encode_basestring_ascii
_encode = json.JSONEncoder(default=repr, check_circular=False).encode


class ForgivingStream:
    """The log's stream. A line that cannot be written is lost, and counted: nothing that is served depends on it.

    FL-2: a disk is full, or whoever reads at the other end of a pipe is gone. Once it works again, a line says how many
    are missing; some of these may still have come from a buffer.
    """

    def __init__(self, stream: TextIO, missing: Callable[[int], str]) -> None:
        self._stream = stream
        self._missing = missing
        self._lost = 0
        self._has_failed = False

    def write(self, text: str) -> int:
        """Write a line, or do without."""
        try:
            return self._stream.write(text)
        except OSError:
            self._lost += 1
            self._has_failed = True
            return len(text)

    def flush(self) -> None:
        """Flush, or do without."""
        has_failed, self._has_failed = self._has_failed, False
        try:
            self._stream.flush()
            if self._lost and not has_failed:
                self._stream.write(f"{self._missing(self._lost)}\n")
                self._stream.flush()
                self._lost = 0
        except OSError:
            self._lost += not has_failed


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Set up the process's log, for our own lines and those of the libraries. For programs, not for `create_app`."""
    stream = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not stream.isatty())
    shared: list[Processor] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        drop_values,
        arrange,
    ]
    # JSON in ASCII has every control and bidi mark escaped; columns for people need it done.
    render: list[Processor] = [render_json]
    if not as_json:
        render = [escape_controls, structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=24)]
    steps = [*shared, *render]

    def missing(count: int) -> str:
        event: Any = {"event": "log_lines_lost", "count": count}
        for step in steps:
            event = step(None, "warning", event)
        return str(event)

    forgiving = cast("TextIO", ForgivingStream(stream, missing))
    structlog.configure(
        processors=steps,
        wrapper_class=_logger_class(level, as_json=as_json),
        logger_factory=structlog.WriteLoggerFactory(forgiving),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(forgiving)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render]
        )
    )
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # its warnings are of callers' mistakes
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def _logger_class(level: int, *, as_json: bool) -> type[FilteringBoundLogger]:
    """Answer the class of our loggers: structlog's, with a short way for the line that every request gets."""
    filtering = structlog.make_filtering_bound_logger(level)
    if not as_json or level > logging.INFO:
        return filtering

    class Logger(filtering):  # type: ignore[valid-type, misc] # structlog makes the class for the level
        def info(self, event: str, *args: Any, **members: Any) -> Any:
            if event is REQUEST:
                return self._logger.msg(request_line(**members))
            return super().info(event, *args, **members)

    return Logger


def request_line(
    *,
    timestamp: str,
    method: str,
    path: str,
    status: int,
    ms: float,
    source: str,
    user_id: int | None,
    reason: str | None,
) -> str:
    """Write the line of a request as the steps below would, at a third of the cost: every request pays it."""
    caller = f', "user_id": {user_id}' if user_id is not None else ""
    why = f', "reason": {_quote(reason)}' if reason else ""
    return (
        f'{{"timestamp": "{timestamp}", "level": "info", "event": "{REQUEST}", "request_id": "{REQUEST_ID.get()}", '
        f'"method": {_quote(method)}, "path": {_quote(path)}, "status": {status}, "ms": {ms}, '
        f'"source": {_quote(source)}{caller}{why}}}'
    )


def arrange(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put first what readers look for first, with the request's id or the job, and leave out what says nothing."""
    arranged: EventDict = {"timestamp": event.pop("timestamp"), "level": method, "event": event.pop("event")}
    request_id = REQUEST_ID.get(None)
    if request_id is not None:
        arranged["request_id"] = request_id
    job = JOB.get(None)
    if job is not None:
        arranged["job"] = job
    for name, value in event.items():
        if value is not None and value != "":
            arranged[name] = value
    return arranged


def render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Write a line as JSON in ASCII."""
    return _encode(event)


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
