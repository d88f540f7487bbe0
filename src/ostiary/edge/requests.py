"""An id for every request, and its line in the log (LA-1)."""

import re
import secrets
from collections.abc import Iterator
from datetime import datetime
from itertools import count

import structlog
from starlette.types import Scope

from ostiary.edge.source import Network, is_trusted, source_in
from ostiary.logs import REQUEST, REQUEST_ID
from ostiary.problems import Problem
from ostiary.web.caller import caller_in

log = structlog.get_logger("ostiary.request")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,128}")
_LARGEST_ID = 2**64 - 1
_PROBLEM = "ostiary.problem"


def request_ids() -> Iterator[int]:
    """Count from a random beginning: ids that differ within a process and, as good as surely, between any two."""
    return count(secrets.randbits(64))


def begin_request(scope: Scope, trusted: tuple[Network, ...], ids: Iterator[int]) -> str:
    """Answer the request's id, a trusted proxy's or a new one; from here on every line in the log carries it."""
    request_id = (_given_id(scope, trusted) if trusted else None) or f"{next(ids) & _LARGEST_ID:016x}"
    REQUEST_ID.set(request_id)
    return request_id


def _given_id(scope: Scope, trusted: tuple[Network, ...]) -> str | None:
    """Answer the id that a trusted proxy gave the request."""
    if scope.get("client") and is_trusted(scope["client"][0], trusted):
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                return str(value, "ascii")
    return None


def note_problem(scope: Scope, problem: Problem) -> None:
    """Leave a refusal for the request's line in the log, and for whoever else keeps count."""
    scope[_PROBLEM] = problem


def problem_in(scope: Scope) -> Problem | None:
    """Answer how a request was refused, if it was."""
    problem: Problem | None = scope.get(_PROBLEM)
    return problem


def log_request(scope: Scope, status: int, seconds: float, now: datetime) -> None:
    """Write a request's line. The query is left out, since people put secrets there."""
    caller, problem = caller_in(scope), problem_in(scope)
    log.info(
        REQUEST,
        timestamp=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        method=scope["method"],
        path=scope["path"],
        status=status or 499,  # nginx's number for a caller who went away
        ms=round(seconds * 1000, 1),
        source=source_in(scope).address,
        user_id=caller.user_id if caller else None,
        reason=None if problem is None else problem.reason or problem.code or type(problem).__name__,
    )
