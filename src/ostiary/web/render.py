"""Answers in JSON: what went well, and refusals, which all look alike."""

import json
from collections.abc import Mapping
from datetime import datetime

from starlette.responses import Response

from ostiary.problems import Problem

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
_CONTENT_TYPE = b"content-type", b"application/json"
_encode_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode

_SECONDS = len("2024-01-01T00:00:00")


def timestamp(moment: datetime) -> str:
    """Write a moment as the contract does: UTC, to the second, without offset."""
    return moment.isoformat()[:_SECONDS]


def json_bytes(content: object) -> bytes:
    """Write a value as compact JSON in UTF-8, members in the order given (RFC 8259)."""
    try:
        return _encode(content).encode()
    except UnicodeEncodeError:  # an unpaired surrogate has no UTF-8, but it has an escape
        return _encode_ascii(content).encode()


class JSON(Response):
    """A response whose body is JSON already. Made without Starlette's general way to headers, which costs more."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [_CONTENT_TYPE, (b"content-length", b"%d" % len(body))]


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a value as JSON."""
    response = JSON(json_bytes(content), status)
    if headers:
        response.headers.update(headers)
    return response


def problem_response(problem: Problem) -> Response:
    """Answer with a refusal: `detail`, and `code` where its class has one. Its reason stays here."""
    content = {"detail": problem.detail}
    if problem.code is not None:
        content["code"] = problem.code
    return json_response(content, problem.status, problem.headers)
