"""One attempt (D2): every secret that can be guessed, against everything by which more guesses might be had.

What asks for a password comes from the table of endpoints, so that a new one must be added here.
"""

from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from typing import NamedTuple

import httpx
import pytest

from ostiary.app import ENDPOINTS
from ostiary.login.proof import InvalidPassword
from ostiary.web.endpoint import Endpoint
from tests.conftest import MakeServer
from tests.login.guessing import HOME, WRONG, elsewhere
from tests.login.inside import attempts_stored
from tests.people import Person, log_in, patiently, sign_up
from tests.server import Server
from tests.sessions.answers import at_once
from tests.sessions.beside import restarted

MANY = 50
STRANGE, KNOWN = 10, 30
LOGIN = "POST /api/v1/auth/login"
NEW_PASSWORD = "another-horse-Battery-7"

Presented = dict[str, str]
MEMBERS: dict[str, Callable[[str], Presented]] = {
    "POST /api/v1/auth/reauthenticate": lambda password: {"password": password},
    "POST /api/v1/users/me/password": lambda password: {"current_password": password, "new_password": NEW_PASSWORD},
}
"""How a password is presented in a call of somebody who is signed in."""


class Guessable(NamedTuple):
    """A way to guess a secret, from one place."""

    name: str
    source: str
    limit: int
    """So many guesses are verified there."""

    def present(self, client: httpx.Client, person: Person, password: str) -> int:
        """Present a password; answer the status."""
        method, path = self.name.split(" ", 1)
        headers = {"X-Forwarded-For": self.source}
        if self.name == LOGIN:
            body = {"email": person.email, "password": password}
        else:
            body, headers = MEMBERS[self.name](password), headers | person.auth
        path = path.removeprefix("/api/v1")
        return patiently(lambda: client.request(method, path, headers=headers, json=body)).status_code

    @property
    def refusal(self) -> int:
        return 401 if self.name == LOGIN else 403


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


PROOFS = [name_of(endpoint) for endpoint in ENDPOINTS if InvalidPassword in endpoint.problems]
[AWAY] = elsewhere(1)
GUESSABLE = [
    Guessable(LOGIN, AWAY, STRANGE),
    Guessable(LOGIN, HOME, KNOWN),
    *(Guessable(name, source, KNOWN) for name in PROOFS for source in (AWAY, HOME)),
]
"""Whoever is signed in is no stranger wherever he is."""

every_guessable_secret = pytest.mark.parametrize(
    "secret", GUESSABLE, ids=lambda each: f"{each.name} {'at home' if each.source == HOME else 'away'}"
)


def somebody_at_home(client: httpx.Client) -> Person:
    client.headers["X-Forwarded-For"] = HOME
    return log_in(client, sign_up(client))


@pytest.mark.any_engine
@pytest.mark.rule("D2")
def test_every_call_that_asks_for_a_password_is_tried_here() -> None:
    assert "POST /api/v1/auth/reauthenticate" in PROOFS
    assert set(PROOFS) <= MEMBERS.keys()


@pytest.mark.rule("D2", "LG-3", "LG-4", "PW-7")
@every_guessable_secret
def test_of_fifty_guesses_at_once_no_more_are_verified_than_may_be(
    servers: tuple[Server, Server], clients: tuple[httpx.Client, httpx.Client], secret: Guessable
) -> None:
    person = somebody_at_home(clients[0])
    calls = [partial(secret.present, client, person, WRONG) for client in islice(cycle(clients), MANY)]
    assert at_once(calls) == [secret.refusal] * MANY
    assert attempts_stored(servers[0].settings, person) == [secret.limit]
    assert secret.present(clients[1], person, person.password) == secret.refusal


@pytest.mark.rule("D2", "LG-3", "LG-4", "PW-7")
@every_guessable_secret
def test_beyond_the_limit_the_right_one_is_refused_like_a_wrong_one_until_time_has_passed(
    guarded: Server, outside: httpx.Client, secret: Guessable
) -> None:
    person = somebody_at_home(outside)
    for _ in range(secret.limit):
        assert secret.present(outside, person, WRONG) == secret.refusal
    assert secret.present(outside, person, person.password) == secret.refusal
    guarded.clock.advance(minutes=14)
    assert secret.present(outside, person, person.password) == secret.refusal
    guarded.clock.advance(minutes=47)
    person = somebody_at_home(outside)
    for _ in range(secret.limit - 1):
        assert secret.present(outside, person, WRONG) == secret.refusal
    assert secret.present(outside, person, person.password) in {200, 204}


@pytest.mark.rule("D2", "LG-3", "LG-4", "PW-7", "ST-2")
def test_after_a_restart_no_more_are_verified_than_before(make_server: MakeServer) -> None:
    before = make_server(trusted_proxies="127.0.0.1")
    with before.client() as client:
        people = [somebody_at_home(client) for _ in GUESSABLE]
        for secret, person in zip(GUESSABLE, people, strict=True):
            for _ in range(secret.limit - 1):
                assert secret.present(client, person, WRONG) == secret.refusal
    after = restarted(make_server, before, trusted_proxies="127.0.0.1")
    with after.client() as client:
        for secret, person in zip(GUESSABLE, people, strict=True):
            assert secret.present(client, person, WRONG) == secret.refusal
            assert secret.present(client, person, person.password) == secret.refusal
            assert attempts_stored(after.settings, person) == [secret.limit]
