"""What tests do with roles through the API, and the people who do it."""

from typing import Any

import httpx

from ostiary.audit.origin import OPERATOR
from ostiary.users.accounts import set_superuser
from tests.audit.inside import Recorded, recorded
from tests.people import Person, signed_in
from tests.roles.planted import plant_holder, plant_role
from tests.server import Server
from tests.sessions.beside import write

FORBIDDEN = {"detail": "Not allowed", "code": "forbidden"}
EXCEEDED = {"detail": "This takes rights that you do not have", "code": "rights_exceeded"}
NOT_FOUND = {"detail": "Resource not found"}


def superuser(server: Server, client: httpx.Client) -> Person:
    """A superuser, signed in."""
    person = signed_in(client)
    write(server.settings, set_superuser, person.id, is_superuser=True, origin=OPERATOR, now=server.clock.now())
    return person


def holder(server: Server, client: httpx.Client, *permissions: str) -> Person:
    """Somebody with a role of his own that permits this, signed in."""
    person = signed_in(client)
    plant_role(server, f"of-{person.id}", *permissions)
    plant_holder(server, person.id, f"of-{person.id}")
    return person


def make(client: httpx.Client, by: Person, name: str, *permissions: str, **members: Any) -> httpx.Response:
    body = {"name": name, "permissions": list(permissions)} | members
    return client.post("/roles", json=body, headers=by.auth)


def change(client: httpx.Client, by: Person, name: str, **members: Any) -> httpx.Response:
    return client.patch(f"/roles/{name}", json=members, headers=by.auth)


def remove(client: httpx.Client, by: Person, name: str) -> httpx.Response:
    return client.delete(f"/roles/{name}", headers=by.auth)


def give(client: httpx.Client, by: Person, user_id: int, name: str) -> httpx.Response:
    return client.put(f"/users/{user_id}/roles/{name}", headers=by.auth)


def take(client: httpx.Client, by: Person, user_id: int, name: str) -> httpx.Response:
    return client.delete(f"/users/{user_id}/roles/{name}", headers=by.auth)


def names_of(client: httpx.Client, by: Person, user_id: int) -> list[str]:
    answer = client.get(f"/users/{user_id}/roles?limit=100", headers=by.auth)
    assert answer.status_code == 200, answer.text
    return [role["name"] for role in answer.json()["items"]]


def recorded_of(server: Server, name: str, *, about: int | None = None) -> list[Recorded]:
    """What the audit log says of a role, and of somebody, in no order: rows of one moment have none."""
    return sorted_by_words(*(row for row in recorded(server.settings, about=about) if row.details.get("role") == name))


def sorted_by_words(*rows: Recorded) -> list[Recorded]:
    return sorted(rows, key=repr)
