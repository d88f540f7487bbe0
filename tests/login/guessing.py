"""Attempts to log in from anywhere, as a server sees them behind a proxy."""

from collections.abc import Iterator
from itertools import count

import httpx

from tests.people import Person, patiently

WRONG = "wrong-horse-Battery-9"
HOME = "192.0.2.1"


def attempt(client: httpx.Client, email: str, password: str = WRONG, source: str = HOME) -> int:
    """Try to log in from somewhere, again where the server is full; answer the status."""
    body, headers = {"email": email, "password": password}, {"X-Forwarded-For": source}
    return patiently(lambda: client.post("/auth/login", json=body, headers=headers)).status_code


def fail(client: httpx.Client, email: str, times: int, source: str = HOME) -> None:
    """Present the wrong password so often."""
    assert [attempt(client, email, WRONG, source) for _ in range(times)] == [401] * times


def fail_from_everywhere(client: httpx.Client, email: str, times: int) -> None:
    """Present the wrong password so often, each time from a network of its own."""
    for source in elsewhere(times):
        fail(client, email, 1, source)


def elsewhere(times: int) -> Iterator[str]:
    """Answer addresses of so many networks, IPv4 and IPv6, none of them given out before."""
    for _ in range(times):
        number = next(_NUMBERS)
        yield f"10.{number >> 8}.{number & 255}.9" if number % 2 else f"2001:db8:{number:x}::9"


def is_open(client: httpx.Client, person: Person, source: str = HOME) -> bool:
    """Say whether the right password works. Where it does, the place is known and its failures are cleared."""
    return attempt(client, person.email, person.password, source) == 200


_NUMBERS = count(1)
