"""Request limits and the bearer token of a request (RL-1)."""

from collections.abc import Awaitable, Iterable

from starlette.types import Scope

from ostiary.counters import Counters, Verdict
from ostiary.durations import Rate
from ostiary.edge.headers import Policy
from ostiary.problems import InvalidCredentials, RateLimited

_COUNTED = "ostiary.counted"


class RequestLimit:
    """One of the two limits: counts requests under a key and knows how it is called."""

    def __init__(self, name: str, rate: Rate, counters: Counters) -> None:
        self._limit = counters.limit(name, rate)
        self.policy = Policy(name, self._limit.limit, self._limit.window_seconds)

    def count(self, scope: Scope, key: str | int) -> Awaitable[None] | None:
        """Count a request: at once, or where a store decides, when awaited. Raises RateLimited with its Retry-After."""
        verdict = self._limit.hit_alone(key)
        if verdict is None:
            return self._count_with_others(scope, key)
        self._note(scope, key, verdict)
        return None

    async def _count_with_others(self, scope: Scope, key: str | int) -> None:
        self._note(scope, key, await self._limit.hit(key))

    def _note(self, scope: Scope, key: str | int, verdict: Verdict) -> None:
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
