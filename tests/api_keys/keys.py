"""API keys for tests, made through the API or past it."""

from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import Connection

from ostiary.api_keys.format import new_key
from ostiary.api_keys.making import add_key, wanted_key
from ostiary.audit.origin import OPERATOR
from tests.people import Person
from tests.server import Server
from tests.sessions.beside import write


def made_key(client: httpx.Client, person: Person, **members: Any) -> dict[str, Any]:
    """Make a key for somebody who is signed in; answer all that the API says of it."""
    answer = client.post("/api-keys", json={"name": "a key", "scopes": []} | members, headers=person.auth)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def fill(server: Server, person: Person, count: int, **span: float) -> None:
    """Make so many keys for somebody past the API, all with the same lifetime."""
    now = server.clock.now()

    def add(connection: Connection) -> None:
        for number in range(count):
            wanted = wanted_key(f"key {number}", [], now + timedelta(**span), now=now)
            add_key(connection, person.id, new_key(), wanted, origin=OPERATOR, now=now)

    write(server.settings, add)
