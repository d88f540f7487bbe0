"""Who is calling, as far as the network can tell (RL-2)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from starlette.types import Scope

Network: TypeAlias = IPv4Network | IPv6Network

_ENTRY = re.compile(r"\[(?P<bracketed>[^\[\]]+)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+)(?::[0-9]{1,5})?|(?P<bare>[^\[\]]+)")
"""A hop as proxies write it: an address, in brackets or not, with a port or not. A bare IPv6 address has no port."""

_LONGEST_ENTRY = 100
"""Characters; what is longer is no address, and must not fill the cache."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a request comes from: in full for logs, and as what the limits count."""

    address: str
    key: str
    """An IPv4 address, or the /64 network of an IPv6 address, because one customer has a whole /64 to call from."""


UNIX = Source("unix", "unix")
"""The source of everything that arrives over a Unix socket, which has no address."""


_SOURCE = "ostiary.source"


def find_source(scope: Scope, trusted: tuple[Network, ...]) -> Source:
    """Find out where a request comes from, and leave it where handlers find it."""
    client = scope.get("client")
    forwarded: list[str] = []
    if trusted:
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    source = source_of(client[0] if client else None, forwarded, trusted)
    scope[_SOURCE] = source
    return source


def source_in(scope: Scope) -> Source:
    """Answer where a request comes from."""
    source: Source = scope[_SOURCE]
    return source


def source_of(peer: str | None, forwarded_for: Sequence[str], trusted: tuple[Network, ...]) -> Source:
    """Answer the source of a request: its peer, or what trusted proxies say of it.

    `forwarded_for` are the values of all `X-Forwarded-For` lines in the order received. They count only when the peer
    is in a trusted network. They are read from the right to the first hop that is not trusted, and what lies to the
    left of that is never looked at, because the caller may have written it. When every hop is trusted, the leftmost is
    the caller. An entry that is no address makes the peer the source. `peer` is None on a Unix socket.
    """
    if peer is None:
        return UNIX
    if not trusted or not forwarded_for or not is_trusted(peer, trusted):
        return _source(peer) or Source(peer, peer)
    rest, more = ",".join(forwarded_for), ","
    hop = peer
    while more and is_trusted(hop, trusted):
        rest, more, entry = rest.rpartition(",")
        hop = entry.strip(" \t")
        if len(hop) > _LONGEST_ENTRY or _parsed(hop) is None:
            hop = peer
            break
    return _source(hop) or Source(peer, peer)


@lru_cache(maxsize=8192)
def _parsed(entry: str) -> IPv4Address | IPv6Address | None:
    """Read one hop, without its port and zone; IPv4 mapped into IPv6 (RFC 4291 §2.5.5.2) is IPv4."""
    if not (match := _ENTRY.fullmatch(entry)):
        return None
    try:
        address = ip_address(match[match.lastgroup or 0])
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


@lru_cache(maxsize=8192)
def is_trusted(entry: str, trusted: tuple[Network, ...]) -> bool:
    """Tell whether a hop is one of the configured proxies."""
    address = _parsed(entry)
    return address is not None and any(address in network for network in trusted)


@lru_cache(maxsize=8192)
def _source(entry: str) -> Source | None:
    """Answer the source a hop stands for, or None when it is no address."""
    match _parsed(entry):
        case None:
            return None
        case IPv4Address() as address:
            return Source(str(address), str(address))
        case IPv6Address() as address:
            return Source(str(address), str(IPv6Network((address, 64), strict=False)))
