"""Headers that every response carries (HT-1), and those that tell a caller where he stands with the limits (RL-1)."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from ostiary.counters import Verdict

RawHeader: TypeAlias = tuple[bytes, bytes]

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PAGE_HEADERS = {"Content-Security-Policy": PAGE_POLICY, "Cross-Origin-Opener-Policy": "same-origin"}
"""What a page sets on its response; the middleware adds the rest."""

_ONE_YEAR_SECONDS = 31_536_000

_NOT_STORED = b"cache-control", b"no-store"
_API_POLICY = b"content-security-policy", API_POLICY.encode()
_CHOSEN = frozenset({_NOT_STORED[0], _API_POLICY[0]})


class SecurityHeaders:
    """The headers of HT-1. A response that brings its own `Cache-Control` or `Content-Security-Policy` keeps it.

    `https` says whether the public URL is https, for only then may a browser be told to insist on it.
    """

    def __init__(self, *, https: bool) -> None:
        self._always: list[RawHeader] = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
        if https:
            hsts = b"max-age=%d; includeSubDomains" % _ONE_YEAR_SECONDS
            self._always.append((b"strict-transport-security", hsts))
        self._usual = [*self._always, _NOT_STORED, _API_POLICY]

    def added_to(self, headers: Iterable[RawHeader]) -> list[RawHeader]:
        """Answer the headers of a response with ours added."""
        secured = list(headers)
        own = [name for name, _ in secured if name.lower() in _CHOSEN]
        if not own:
            return secured + self._usual
        secured += self._always
        secured += [header for header in (_NOT_STORED, _API_POLICY) if header[0] not in map(bytes.lower, own)]
        return secured


class Policy(NamedTuple):
    """A request limit as callers are told of it. The name must not need escaping (RFC 9651 §3.3.3)."""

    name: str
    limit: int
    window_seconds: int


def rate_limit_headers(counted: Iterable[tuple[Policy, Verdict]]) -> list[RawHeader]:
    """Tell the limits a request was counted against and what is left of them (draft-ietf-httpapi-ratelimit-headers)."""
    policies, states = [], []
    for policy, verdict in counted:
        policies.append(policy)
        states.append(f'"{policy.name}";r={verdict.remaining};t={verdict.reset_seconds}')
    return [_policy_header(tuple(policies)), (b"ratelimit", ", ".join(states).encode())]


@lru_cache(maxsize=64)
def _policy_header(policies: tuple[Policy, ...]) -> RawHeader:
    """Answer the header that lists limits; there are as many different ones as combinations of limits."""
    listed = ", ".join(f'"{policy.name}";q={policy.limit};w={policy.window_seconds}' for policy in policies)
    return b"ratelimit-policy", listed.encode()
