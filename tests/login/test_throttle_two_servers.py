"""No limit on guesses is exceeded by fifty at once, sent to two servers of one database (D2, LG-3, LG-4)."""

from collections.abc import Callable
from functools import partial
from itertools import cycle, islice

import httpx
import pytest

from tests.login.guessing import HOME, WRONG, attempt, elsewhere, is_open
from tests.login.inside import attempts_stored, plant_failures, strangers_stored, throttle_rows
from tests.people import Person, sign_up
from tests.server import Server
from tests.sessions.answers import at_once

MANY = 50
Clients = tuple[httpx.Client, httpx.Client]


def guess(clients: Clients, person: Person, sources: list[str]) -> None:
    """Fifty wrong guesses at once, to each server in turn."""
    turns = zip(cycle(clients), cycle(sources), strict=False)
    calls = [partial(attempt, client, person.email, WRONG, source) for client, source in islice(turns, MANY)]
    assert at_once(calls) == [401] * MANY


def nothing(_server: Server, _client: httpx.Client, _person: Person) -> None:
    """An account without a past."""


def known(_server: Server, client: httpx.Client, person: Person) -> None:
    assert is_open(client, person)


def slowed(server: Server, _client: httpx.Client, person: Person) -> None:
    plant_failures(server, person.id, *elsewhere(50))


def nearly_locked(server: Server, _client: httpx.Client, person: Person) -> None:
    plant_failures(server, person.id, *elsewhere(93))


def known_and_locked(server: Server, client: httpx.Client, person: Person) -> None:
    known(server, client, person)
    plant_failures(server, person.id, *elsewhere(100))


Past = Callable[[Server, httpx.Client, Person], None]


@pytest.mark.rule("D2", "LG-3", "LG-4")
@pytest.mark.parametrize(
    ("past", "sources", "allowed"),
    [
        (nothing, [HOME], 10),
        (known, [HOME], 30),
        (known_and_locked, [f"192.0.2.{number}" for number in range(MANY)], 30),
        (slowed, [HOME], 1),
        (nearly_locked, list(elsewhere(MANY)), 7),
    ],
    ids=["one source", "known place", "known network", "slowed", "nearly locked"],
)
def test_of_fifty_at_once_as_many_are_verified_as_may_be(
    servers: tuple[Server, Server], clients: Clients, past: Past, sources: list[str], allowed: int
) -> None:
    person = sign_up(clients[0])
    past(servers[0], clients[0], person)
    before = strangers_stored(servers[0].settings, person)
    guess(clients, person, sources)
    [row] = [row for row in throttle_rows(servers[0].settings) if row.user_id == person.id]
    assert row.refused >= MANY - allowed
    stored = sum(attempts_stored(servers[0].settings, person)) - before
    assert stored == allowed
    assert not is_open(clients[1], person, sources[0])
