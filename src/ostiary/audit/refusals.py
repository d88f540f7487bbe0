"""Refusals, collected in memory and written together: nobody may fill the log by being refused (LA-3).

One row stands for all refusals of one kind, for one source or user, in a second or a minute. Both the number of kinds
and what is kept of each are bounded; a server that is killed loses those of its last second, or of its last minute.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.types import Scope

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin, origin_of
from ostiary.audit.recording import record
from ostiary.db import read_committed
from ostiary.edge.limits import counted_in
from ostiary.edge.source import source_in
from ostiary.problems import Forbidden, Problem, RateLimited
from ostiary.web.caller import caller_in

MOST_KINDS = 10_000
_MINUTE = timedelta(minutes=1)


class Kind(NamedTuple):
    """What refusals have in common that are counted together."""

    event: Event
    actor_id: int | None
    source: str
    what: str
    """The limit, or the code of the refusal."""


@dataclass(slots=True)
class _Count:
    origin: Origin
    first_at: datetime
    last_at: datetime
    refusals: int = 0


class Refusal(NamedTuple):
    """Refusals of one kind, to be written."""

    kind: Kind
    origin: Origin
    """Of the first of them."""
    first_at: datetime
    last_at: datetime
    refusals: int


class Refusals:
    """What was refused and is not written yet."""

    def __init__(self) -> None:
        self._counts: dict[Kind, _Count] = {}

    def note(self, scope: Scope, problem: Problem, *, now: datetime) -> None:
        """Count a refusal, if it is one that the log is to know of."""
        kind = _kind_of(scope, problem)
        if kind is None:
            return
        count = self._counts.get(kind)
        if count is None:
            if len(self._counts) >= MOST_KINDS:
                return
            count = self._counts[kind] = _Count(origin_of(Request(scope)), now, now)
        count.refusals += 1
        count.last_at = max(count.last_at, now)

    def take(self, *, now: datetime, everything: bool = False) -> list[Refusal]:
        """Answer what can be written by now, and forget it."""
        due = [
            kind
            for kind, count in self._counts.items()
            if everything or kind.event is not Event.RATE_LIMITED or now - count.first_at >= _MINUTE
        ]
        taken = []
        for kind in due:
            count = self._counts.pop(kind)
            taken.append(Refusal(kind, count.origin, count.first_at, count.last_at, count.refusals))
        return taken

    def put_back(self, refusals: list[Refusal]) -> None:
        """Keep what could not be written for the next time."""
        for refusal in refusals:
            newer = self._counts.get(refusal.kind)
            if newer is not None:
                newer.refusals += refusal.refusals
                newer.first_at = refusal.first_at
            elif len(self._counts) < MOST_KINDS:
                kept = _Count(refusal.origin, refusal.first_at, refusal.last_at, refusal.refusals)
                self._counts[refusal.kind] = kept


@read_committed(why="it only adds rows")
def write_refusals(connection: Connection, refusals: list[Refusal]) -> None:
    """Write one row for each, dated by the last of its refusals."""
    for refusal in refusals:
        kind = refusal.kind
        named = "limit" if kind.event is Event.RATE_LIMITED else "code"
        details = {named: kind.what, "count": refusal.refusals}
        record(connection, kind.event, refusal.origin, user_id=kind.actor_id, details=details, now=refusal.last_at)


def _kind_of(scope: Scope, problem: Problem) -> Kind | None:
    caller = caller_in(scope)
    actor_id = None if caller is None else caller.user_id
    source = source_in(scope)
    if isinstance(problem, RateLimited):
        counted = counted_in(scope)
        # A source is what the limits count: a whole network of IPv6 is one. Its first address stands for it.
        return Kind(Event.RATE_LIMITED, actor_id, source.key, counted[-1][0].name if counted else "other")
    if isinstance(problem, Forbidden) and not problem.is_recorded:
        return Kind(Event.ACCESS_REFUSED, actor_id, source.key, problem.code or "forbidden")
    return None
