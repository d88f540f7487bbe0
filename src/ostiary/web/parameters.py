"""Reading the query of a request: each parameter at most once, in one form, within its range (IN-2)."""

import re
from datetime import UTC, datetime
from typing import TypeVar

from starlette.requests import Request

from ostiary.problems import InvalidInput
from ostiary.web.endpoint import Parameter

MAX_SKIP = 2**53 - 1
MAX_LIMIT = 100
DEFAULT_LIMIT = 10

INTEGER = re.compile(r"-?[0-9]+")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_CURSOR_LENGTH = 1024

Word = TypeVar("Word", bound=str)


def parse_count(request: Request, name: str, *, default: int, least: int, most: int) -> int:
    """Read an integer. Raises InvalidInput for text, a number out of range, or one given twice (IN-2)."""
    number = parse_integer(request, name, least=least, most=most)
    return default if number is None else number


def parse_integer(request: Request, name: str, *, least: int, most: int) -> int | None:
    """Read an integer; None where there is none. Raises InvalidInput."""
    text = parse_text(request, name)
    if text is None:
        return None
    if INTEGER.fullmatch(text) is None:
        raise InvalidInput(f"{name}: an integer is required")
    digits = text.lstrip("-").lstrip("0") or "0"
    is_negative = text.startswith("-") and digits != "0"
    if is_negative or len(digits) > len(str(most)) or not least <= int(digits) <= most:
        raise InvalidInput(f"{name}: must be from {least} to {most}")
    return int(digits)


def parse_moment(request: Request, name: str) -> datetime | None:
    """Read a moment as answers write it: UTC, to the second, without offset. Raises InvalidInput."""
    text = parse_text(request, name)
    if text is None:
        return None
    try:
        if _MOMENT.fullmatch(text) is not None:
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:  # a thirteenth month
        pass
    raise InvalidInput(f"{name}: a moment like 2024-01-01T00:00:00 is required")


def parse_word(request: Request, name: str, words: type[Word]) -> Word | None:
    """Read one word of an enum. Raises InvalidInput."""
    text = parse_text(request, name)
    if text is None:
        return None
    try:
        return words(text)
    except ValueError:
        raise InvalidInput(f"{name}: not one of the words that are known here") from None


def parse_cursor(request: Request) -> str | None:
    """Read what an earlier page's link has handed out; whether it is good is for `Cursors` to say.

    Raises InvalidInput, also where `skip` comes with it: a cursor says already where to begin.
    """
    cursor = parse_text(request, "cursor")
    if cursor is not None and parse_integer(request, "skip", least=0, most=MAX_SKIP):
        raise InvalidInput("cursor: cannot be combined with skip")
    if cursor is not None and len(cursor) > _CURSOR_LENGTH:
        raise InvalidInput("cursor: not one of ours")
    return cursor


def parse_text(request: Request, name: str) -> str | None:
    """Read a parameter as it is; None where there is none. Raises InvalidInput for one given twice."""
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise InvalidInput(f"{name}: given more than once")
    return values[0] if values else None


def skip_parameter(meaning: str) -> Parameter:
    """Describe `skip` of a list."""
    return Parameter("skip", "query", meaning, {"type": "integer", "minimum": 0, "maximum": MAX_SKIP, "default": 0})


def limit_parameter(meaning: str) -> Parameter:
    """Describe `limit` of a list."""
    schema = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    return Parameter("limit", "query", meaning, schema)


CURSOR = Parameter(
    "cursor",
    "query",
    "Where to go on, as the `Link` of the page before says; instead of `skip`.",
    {"type": "string", "maxLength": _CURSOR_LENGTH},
)
