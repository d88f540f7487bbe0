"""Users for tests, made and signed in through the API."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

PASSWORD = "correct-horse-Battery-9"
PATIENCE_SECONDS = 90


@dataclass
class Person:
    """Somebody who signed up: what the API said of him, and what he knows."""

    user: dict[str, Any]
    password: str
    access_token: str = ""
    refresh_token: str = ""

    @property
    def id(self) -> int:
        return int(self.user["id"])

    @property
    def email(self) -> str:
        return str(self.user["email"])

    @property
    def auth(self) -> dict[str, str]:
        """The header that says who it is."""
        return bearer(self.access_token)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def newcomer(**members: Any) -> dict[str, Any]:
    """A sign-up body that nobody has sent before."""
    tag = secrets.token_hex(6)
    return {"email": f"user-{tag}@example.com", "username": f"user-{tag}", "password": PASSWORD} | members


def sign_up(client: httpx.Client, **members: Any) -> Person:
    """Sign somebody up."""
    body = newcomer(**members)
    answer = client.post("/users", json=body)
    assert answer.status_code == 201, answer.text
    return Person(answer.json(), body["password"])


def log_in(client: httpx.Client, person: Person) -> Person:
    """Log somebody in again: the same person, with the tokens of a new session."""
    answer = client.post("/auth/login", json={"email": person.email, "password": person.password})
    assert answer.status_code == 200, answer.text
    tokens = answer.json()
    return Person(person.user, person.password, tokens["access_token"], tokens["refresh_token"])


def signed_in(client: httpx.Client, **members: Any) -> Person:
    """Sign somebody up and log him in."""
    return log_in(client, sign_up(client, **members))


def refresh(client: httpx.Client, token: str) -> httpx.Response:
    return client.post("/auth/refresh", json={"refresh_token": token})


def patiently(call: Callable[[], httpx.Response]) -> httpx.Response:
    """Call again for as long as the server says that it is full, each time after the wait that it asks for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = call()
        if answer.status_code != 503:
            return answer
        wait = int(answer.headers["retry-after"])
        assert 1 <= wait <= 60
        assert time.monotonic() < deadline, "never served"
        time.sleep(wait)
