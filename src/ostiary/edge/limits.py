"""Request limits and the bearer token of a request (RL-1)."""

from collections.abc import Iterable

from starlette.types import Scope

from ostiary.clock import Clock
from ostiary.counters import SlidingWindows, Verdict
from ostiary.durations import Rate
from ostiary.edge.headers import Policy
from ostiary.problems import InvalidCredentials, RateLimited

_COUNTED = "ostiary.counted"


class RequestLimit:
    """One of the two limits: counts requests under a key and knows how it is called."""

    def __init__(self, name: str, rate: Rate, clock: Clock) -> None:
        window_seconds = int(rate.window.total_seconds())
        self.policy = Policy(name, rate.limit, window_seconds)
        self._windows = SlidingWindows(rate.limit, window_seconds)
        self._clock = clock

    def count(self, scope: Scope, key: str | int) -> None:
        """Count a request. Raises RateLimited, whose Retry-After is kept."""
        verdict: Verdict = self._windows.hit(key, self._clock.monotonic())
        scope[_COUNTED] = (*scope.get(_COUNTED, ()), (self.policy, verdict))
        if not verdict.allowed:
            raise RateLimited(
                reason=f"over the limit for each {self.policy.name}: {key}",
                headers={"Retry-After": str(verdict.reset_seconds)},
            )


def counted_in(scope: Scope) -> tuple[tuple[Policy, Verdict], ...]:
    """Answer the limits that a request was counted against, in order, and where they stand."""
    counted: tuple[tuple[Policy, Verdict], ...] = scope.get(_COUNTED, ())
    return counted


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Answer the token of a request; None where it brings no `Authorization` (RFC 6750 §2.1).

    Raises InvalidCredentials for two such headers, another scheme, or one without a token.
    """
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        return None
    scheme, _, token = values[0].partition(b" ")
    if len(values) > 1 or scheme.lower() != b"bearer":
        raise InvalidCredentials(reason="Authorization is not one bearer token")
    return token.strip(b" ").decode("latin-1")
