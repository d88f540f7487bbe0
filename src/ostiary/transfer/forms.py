"""The two forms of a file of users: JSON Lines and CSV, one user a line."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

from ostiary.problems import InvalidInput
from ostiary.transfer.checking import ADDED_TO_REJECTS, refuse_unknown
from ostiary.web.body import parse_object
from ostiary.web.render import json_bytes

MOST_LINE_BYTES = 64 * 1024
"""The longest that we write has less: 16 KiB of metadata, three times as long where all of it is escaped."""

_FLAGS = {"true": True, "false": False}
_REQUIRED = ("email", "username")
_IN_A_BODY = "Request body"


class Form(StrEnum):
    """How a file says what it says."""

    JSONL = "jsonl"
    CSV = "csv"


class Reader(Protocol):
    """Reads lines of one form, and writes down those that were rejected."""

    has_header: bool

    def read_header(self, line: bytes) -> None:
        """Learn what the first line says of the others. Raises InvalidInput."""

    def members(self, line: bytes) -> dict[str, Any]:
        """Answer what a line says of a user. Raises InvalidInput."""

    def rejects_header(self) -> bytes:
        """Answer how a reject file begins."""

    def rejected(self, line: bytes | None, number: int, reason: str) -> bytes:
        """Answer a line of the reject file; None stands for one that was too long to be kept."""


def reader_of(form: Form) -> Reader:
    """Answer the reader of a form."""
    return CSVReader() if form is Form.CSV else JSONLinesReader()


class JSONLinesReader:
    """Each line is a JSON object, read as strictly as the body of a request."""

    has_header = False

    def read_header(self, line: bytes) -> None:
        """Do nothing: there is no header."""

    def members(self, line: bytes) -> dict[str, Any]:
        """Parse a line."""
        try:
            return parse_object(line)
        except InvalidInput as problem:
            raise InvalidInput(problem.detail.replace(_IN_A_BODY, "the line")) from None

    def rejects_header(self) -> bytes:
        """Answer nothing."""
        return b""

    def rejected(self, line: bytes | None, number: int, reason: str) -> bytes:
        """Answer the line's own members with those that say why; what cannot be parsed, as text."""
        why = dict(zip(ADDED_TO_REJECTS, (number, reason), strict=True))
        if line is None:
            return _json_line(why)
        try:
            members = self.members(line)
        except InvalidInput:
            members = {"reject_text": line.decode(errors="replace")}
        return _json_line(members | why)


class CSVReader:
    """Fields in commas, quoted where they hold one (RFC 4180), none of which goes over the end of a line."""

    has_header = True

    def __init__(self) -> None:
        self._columns: list[str] = []

    def read_header(self, line: bytes) -> None:
        """Take the names of the columns."""
        columns = _fields(line)
        try:
            refuse_unknown(columns)
        except InvalidInput as problem:
            raise InvalidInput(f"The first line must name the columns: {problem.detail}") from None
        missing = [name for name in _REQUIRED if name not in columns]
        if missing or len(set(columns)) != len(columns):
            wrong = f"{missing[0]} is missing" if missing else "one is there twice"
            raise InvalidInput(f"The first line must name the columns: {wrong}")
        self._columns = columns

    def members(self, line: bytes) -> dict[str, Any]:
        """Split a line; an empty field says nothing."""
        fields = _fields(line)
        if len(fields) != len(self._columns):
            raise InvalidInput(f"the line has {len(fields)} fields, the first line names {len(self._columns)}")
        members: dict[str, Any] = {name: field for name, field in zip(self._columns, fields, strict=True) if field}
        for name in ("is_active", "is_superuser", "email_verified"):
            if name in members:
                members[name] = _FLAGS.get(members[name], members[name])
        if "metadata" in members:
            members["metadata"] = _object(members["metadata"])
        if "roles" in members:
            members["roles"] = members["roles"].split(" ")
        return members

    def rejects_header(self) -> bytes:
        """Name the same columns and those that say why."""
        return _csv_line([*self._own_columns(), *ADDED_TO_REJECTS])

    def rejected(self, line: bytes | None, number: int, reason: str) -> bytes:
        """Answer the line's own fields, where they are as many as there should be, with those that say why."""
        own = self._own_columns()
        try:
            fields = _fields(line or b"")
        except InvalidInput:
            fields = []
        if len(fields) == len(self._columns):
            values = dict(zip(self._columns, fields, strict=True))
            kept = [values[name] for name in own]
        else:
            kept = [""] * len(own)
        return _csv_line([*kept, str(number), reason])

    def _own_columns(self) -> list[str]:
        return [name for name in self._columns if name not in ADDED_TO_REJECTS]


def write_header(form: Form, names: Sequence[str]) -> bytes:
    """Answer how a file of users begins."""
    return _csv_line(names) if form is Form.CSV else b""


def write_user(form: Form, names: Sequence[str], members: Mapping[str, Any]) -> bytes:
    """Answer the line of one user; a member that is None is left out."""
    if form is Form.JSONL:
        return _json_line({name: members[name] for name in names if members[name] is not None})
    return _csv_line([_cell(members[name]) for name in names])


def _object(text: str) -> dict[str, Any]:
    """Read the JSON object that a field holds. Raises InvalidInput."""
    try:
        return parse_object(text.encode())
    except InvalidInput as problem:
        raise InvalidInput(problem.detail.replace(_IN_A_BODY, "metadata")) from None


def _cell(value: object) -> str:
    """Write a member into a field: an object as JSON, a list with spaces between its items."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return json_bytes(value).decode()
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(value)


def _fields(line: bytes) -> list[str]:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise InvalidInput("the line is not valid UTF-8") from None
    if "\0" in text:
        raise InvalidInput("the line holds a NUL character")
    if '"' not in text:
        return text.split(",")
    try:
        [fields] = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise InvalidInput("the line has a quote that is not closed on it, or stands in the middle") from None
    return fields


def _json_line(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members).encode() + b"\n"


def _csv_line(fields: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue().encode()
