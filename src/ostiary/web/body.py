"""Reading a JSON body (IN-1, HT-4).

Stricter than `json.loads`, because two readers must never see two different things in one body: strict UTF-8, no
repeated names, no NaN, no NUL, bounded in size, depth and number of names. What a member may hold is for the model to
say; a member that no model knows is ignored, once it has passed all this.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Annotated, Any, NoReturn, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticKnownError
from starlette.requests import Request
from starlette.types import Receive, Scope

from ostiary.problems import BodyTooLarge, InvalidInput, Problem, RequestTimeout, UnsupportedMediaType

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_SECONDS = 30.0
MAX_DEPTH = 16
MAX_KEYS = 200

EXCHANGE = "ostiary.exchange"
"""Where our protocol (`edge/protocol.py`) leaves its side of a request; under another server there is nothing."""

_DRAIN_BYTES = 1024 * 1024
_DRAIN_SECONDS = 1.0
_SHOWN_ERRORS = 5
_SHOWN_NAME_LENGTH = 64

_BYTE_ORDER_MARK = "\ufeff"
_ALL_BUT_BRACKETS = re.compile(r'(?:"(?:[^"\\]++|\\.)*+"?|[^"\[\]{}]++)++', re.DOTALL)
"""Strings whole, then everything else. Possessive throughout, so it runs in linear time (IN-3)."""

_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""Found in a parsed string it is unpaired: the parser joins pairs into the character they stand for."""

_WORDS = {
    "missing": "is required",
    "string_type": "a string is required",
    "string_unicode": "a string with an unpaired surrogate is not text",
    "string_too_short": "at least {min_length} characters are required",
    "string_too_long": "at most {max_length} characters are allowed",
    "int_type": "an integer is required",
    "int_from_float": "an integer is required",
    "float_type": "a number is required",
    "bool_type": "true or false is required",
    "none_required": "null is required",
    "list_type": "a list is required",
    "dict_type": "an object is required",
    "model_type": "an object is required",
    "too_short": "at least {min_length} items are required",
    "too_long": "at most {max_length} items are allowed",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "value_error": "{error}",
}
"""What is said of each of pydantic's error types, in words that cannot repeat the value; of others "is not valid"."""

Model = TypeVar("Model", bound=BaseModel)


class Body(BaseModel):
    """The base of request bodies: JSON's own types without conversion, unknown members ignored.

    A member of a type that JSON does not have (a date, an enum) says `Field(strict=False)`, a list `max_length`. The
    message of a ValueError from a validator is shown to the caller, so it must not repeat the value.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)


def _any_string(value: object) -> str:
    """Accept every string."""
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    return value


_VERBATIM = PlainValidator(_any_string)

Verbatim: TypeAlias = Annotated[str, _VERBATIM, WithJsonSchema({"type": "string"})]
"""A string of any content, unpaired surrogates too, which every other member refuses: for what login must not judge.

It stands for a whole member, not inside a list or a union.
"""


async def read_json(
    request: Request,
    model: type[Model],
    *,
    max_bytes: int = MAX_BODY_BYTES,
    timeout_seconds: float = BODY_TIMEOUT_SECONDS,
) -> Model:
    """Read the body of a request as the JSON object that `model` describes.

    Raises BodyTooLarge, UnsupportedMediaType and RequestTimeout, and InvalidInput for everything else: also for a
    caller who went away in the middle, since that is no error of ours.
    """
    raw = await receive_body(request, is_json, max_bytes=max_bytes, timeout_seconds=timeout_seconds)
    try:
        body = model.model_validate(parse_object(raw))
    except ValidationError as error:
        raise InvalidInput(_sentence(error)) from None
    if b"\\ud" in raw or b"\\uD" in raw:  # strict UTF-8 has no other way to bring a surrogate
        _refuse_surrogates(body)
    return body


def parse_object(raw: bytes | bytearray) -> dict[str, Any]:
    """Read bytes as one JSON object (RFC 8259), within the bounds of IN-1. Raises InvalidInput."""
    if not raw:
        raise InvalidInput("Request body is empty, a JSON object is required")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidInput("Request body is not valid UTF-8") from None
    if text.startswith(_BYTE_ORDER_MARK):
        raise InvalidInput("Request body must not start with a byte order mark")
    # Depth is bounded before the parser recurses. Few brackets cannot nest deep, and most bodies have two.
    if text.count("{") + text.count("[") > MAX_DEPTH and _is_deep_or_unbalanced(text):
        raise InvalidInput(f"Request body is not valid JSON or nested more than {MAX_DEPTH} deep")
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"Request body is not valid JSON (line {error.lineno}, column {error.colno})") from None
    except ValueError:  # int() reads 4,300 digits, because its time grows with their square
        raise InvalidInput("Request body holds a number with too many digits") from None
    if not isinstance(document, dict):
        raise InvalidInput("Request body must be a JSON object")
    # Only what shows one of these in its text can break one of these rules.
    if text.count(":") > MAX_KEYS or "\\u0000" in text:
        _inspect(document)
    return document


async def receive_body(
    request: Request,
    is_accepted: Callable[[bytes], bool],
    *,
    max_bytes: int = MAX_BODY_BYTES,
    timeout_seconds: float = BODY_TIMEOUT_SECONDS,
) -> bytearray:
    """Collect the body, unless its headers say already that it will be refused; the media type is `is_accepted`'s.

    Raises BodyTooLarge, UnsupportedMediaType, RequestTimeout, and InvalidInput where the caller went away.
    """
    scope, receive = request.scope, request.receive
    if problem := _judge_headers(scope, is_accepted, max_bytes):
        await _refuse_unread(problem, scope, receive)
    if _has_arrived(scope):  # as most are: there is nothing to wait for, and a timer is not for nothing
        body, more = await _collect(receive, max_bytes)
    else:
        try:
            async with asyncio.timeout(timeout_seconds):
                body, more = await _collect(receive, max_bytes)
        except TimeoutError:
            raise RequestTimeout(headers={"Connection": "close"}) from None
    if len(body) > max_bytes:
        problem = BodyTooLarge()
        if more:
            await _refuse_unread(problem, scope, receive)
        raise problem
    return body


def _has_arrived(scope: Scope) -> bool:
    """Tell whether all of the body is here, so that nobody waits for it; False where that is not known."""
    exchange = scope.get(EXCHANGE)
    return exchange is not None and not exchange.more_body


async def _collect(receive: Receive, max_bytes: int) -> tuple[bytearray, bool]:
    """Take what arrives of a body, until it is too much; tell whether more is to come."""
    body, more = bytearray(), True
    while more and len(body) <= max_bytes:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("Request body is incomplete", reason="the caller went away")
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body, more


def _judge_headers(scope: Scope, is_accepted: Callable[[bytes], bool], max_bytes: int) -> Problem | None:
    """Answer what is wrong with a body, as far as its headers tell: size first, then kind (HT-4)."""
    media_types = []
    encoded = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_types.append(value)
        elif name == b"content-length":
            # Twenty digits are enough to be too many, and int() has its own idea of how many it reads.
            if value.isdigit() and int(value[:20]) > max_bytes:
                return BodyTooLarge()
        elif name == b"content-encoding":
            encoded = encoded or value.strip().lower() not in {b"", b"identity"}
    if len(media_types) != 1 or not is_accepted(media_types[0]):
        return UnsupportedMediaType()
    if encoded:  # RFC 9110 §15.5.16 wants to be told what would do
        return UnsupportedMediaType("Content-Encoding is not supported", headers={"Accept-Encoding": "identity"})
    return None


def is_json(content_type: bytes) -> bool:
    """Tell whether a media type is JSON in UTF-8; parameters other than the character set mean nothing here."""
    if content_type == b"application/json":
        return True
    media_type, *parameters = content_type.decode("latin-1").lower().split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    charsets = {value.strip(' \t"') for name, _, value in pairs if name.strip(" \t") == "charset"}
    return media_type.strip(" \t") == "application/json" and charsets <= {"utf-8", "utf8"}


async def _refuse_unread(problem: Problem, scope: Scope, receive: Receive) -> NoReturn:
    """Refuse a body that has not arrived in full.

    What is on its way is thrown away first, within bounds: to close a connection with unread bytes resets it, and a
    client still writing would see that instead of the answer (RFC 9112 §9.6). One that waits to be asked with
    `Expect: 100-continue` is not asked. The connection is closed unless all of the body came.
    """
    waiting = any(name == b"expect" for name, _ in scope["headers"])
    if waiting or not await _drained(receive):
        problem.headers["Connection"] = "close"
    raise problem


async def _drained(receive: Receive) -> bool:
    """Throw away what arrives; tell whether that was all of it."""
    left = _DRAIN_BYTES
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                if not message.get("more_body", False):
                    return True
                left -= len(message.get("body", b""))
    except TimeoutError:
        pass
    return False


def _is_deep_or_unbalanced(text: str) -> bool:
    """Tell whether brackets nest deeper than MAX_DEPTH or do not match; strings are passed over.

    Each round takes away the innermost pairs. Nothing left means that the parser cannot go deeper either, since it
    stops at the first mistake and reads brackets and strings as we do up to there.
    """
    brackets = _ALL_BUT_BRACKETS.sub("", text)
    for _ in range(MAX_DEPTH):
        # Marks in place of the pairs keep "{[]}" from losing two levels in one round.
        brackets = brackets.replace("[]", "\0").replace("{}", "\0").replace("\0", "")
    return bool(brackets)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members; no name may come twice, since readers differ on which of them counts."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidInput("Request body repeats a member name")
    return members


def _finite(text: str) -> float:
    """Read a number with a fraction or exponent; 1e999 would be infinite."""
    number = float(text)
    if not isfinite(number):
        raise InvalidInput("Request body holds a number that is too large")
    return number


def _constant(_name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise InvalidInput("Request body holds NaN or Infinity, which is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_finite, parse_constant=_constant)


def _inspect(document: dict[str, Any]) -> None:
    """Refuse too many names, and NUL in any name or string."""
    parts = list(_names_and_strings(document))
    if sum(is_name for is_name, _ in parts) > MAX_KEYS:
        raise InvalidInput(f"Request body has more than {MAX_KEYS} members")
    if any("\0" in part for _, part in parts):
        raise InvalidInput("Request body holds a NUL character")


def _names_and_strings(value: object) -> Iterator[tuple[bool, str]]:
    """Walk all names (True) and strings (False) of a parsed document."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield True, name
            yield from _names_and_strings(member)
    elif isinstance(value, list):
        for item in value:
            yield from _names_and_strings(item)
    elif isinstance(value, str):
        yield False, value


def _refuse_surrogates(value: object, place: str = "") -> None:
    """Refuse strings that UTF-8 cannot hold, nor any database. Pydantic looks only at strings with a constraint."""
    match value:
        case BaseModel():
            for name, field in type(value).model_fields.items():
                if _VERBATIM not in field.metadata:
                    _refuse_surrogates(getattr(value, name), f"{place}{field.alias or name}.")
        case dict():
            _refuse_surrogates([*value, *value.values()], place)
        case list() | tuple() | set() | frozenset():
            for item in value:
                _refuse_surrogates(item, place)
        case str() if _SURROGATE.search(value):
            raise InvalidInput(f"{place[:-1]}: {_WORDS['string_unicode']}")


def _sentence(error: ValidationError) -> str:
    """Say what a model refused, member by member, without repeating any value."""
    errors = error.errors(include_url=False, include_input=False)
    shown = [_words(details) for details in errors[:_SHOWN_ERRORS]]
    if len(errors) > _SHOWN_ERRORS:
        shown.append(f"and {len(errors) - _SHOWN_ERRORS} more")
    return "; ".join(shown)


def _words(details: ErrorDetails) -> str:
    """Say what is wrong with one member. Of names that the caller may have chosen, only what is fit to print."""
    names = (str(part) for part in details["loc"])
    place = ".".join(name if name.isprintable() and len(name) <= _SHOWN_NAME_LENGTH else "…" for name in names)
    words = _WORDS.get(details["type"], "is not valid").format_map(details.get("ctx", {}))
    return f"{place}: {words}" if place else words
