"""API keys for tests, made through the API or past it."""

from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import Connection

from ostiary.api_keys.format import new_key
from ostiary.api_keys.making import add_key, wanted_key
from ostiary.audit.origin import OPERATOR
from tests.people import Person, newcomer
from tests.server import Server
from tests.sessions.beside import write


def made_key(client: httpx.Client, person: Person, *, account: int | None = None, **members: Any) -> dict[str, Any]:
    """Make a key for somebody who is signed in, or let him make one for a service account; answer what the API says."""
    path = "/api-keys" if account is None else f"/service-accounts/{account}/api-keys"
    answer = client.post(path, json={"name": "a key", "scopes": []} | members, headers=person.auth)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def made_account(client: httpx.Client, person: Person, *roles: str) -> int:
    """Let somebody who may make a service account; answer its id."""
    body = {"username": newcomer()["username"], "roles": list(roles)}
    answer = client.post("/service-accounts", json=body, headers=person.auth)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def fill(server: Server, person: Person, count: int, **span: float) -> None:
    """Make so many keys for somebody past the API, all with the same lifetime."""
    now = server.clock.now()

    def add(connection: Connection) -> None:
        for number in range(count):
            wanted = wanted_key(f"key {number}", [], now + timedelta(**span), now=now)
            add_key(connection, person.id, new_key(), wanted, origin=OPERATOR, now=now)

    write(server.settings, add)
