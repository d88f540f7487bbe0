"""Administrators for tests, and what they did."""

from typing import Any

import httpx

from tests.login.inside import promote
from tests.people import Person, signed_in
from tests.roles.planted import plant_holder, plant_role
from tests.server import Server
from tests.sessions.beside import rows


def superuser(server: Server, client: httpx.Client) -> Person:
    """A superuser who is signed in."""
    person = signed_in(client)
    promote(server, person)
    return person


def holder(server: Server, client: httpx.Client, *permissions: str) -> Person:
    """Somebody signed in who has a role with these permissions and no other rights."""
    person = signed_in(client)
    role = f"r{person.id}"
    plant_role(server, role, *permissions)
    plant_holder(server, person.id, role)
    return person


def patch(client: httpx.Client, by: Person, user_id: int, **changes: Any) -> httpx.Response:
    return client.patch(f"/users/{user_id}", json=changes, headers=by.auth)


def state_of(server: Server, user_id: int) -> tuple[str, bool, bool]:
    """What is stored of a user, seen over a new connection."""
    [(username, is_active, is_superuser)] = rows(
        server.settings, "SELECT username, is_active, is_superuser FROM users WHERE id = ?", user_id
    )
    return username, bool(is_active), bool(is_superuser)


def recorded(server: Server, user_id: int) -> list[tuple[str, int | None]]:
    """What others did to a user, event and who; in order of time, which stands still on most servers of tests."""
    query = "SELECT event, actor_id FROM audit_log WHERE user_id = ? AND actor_id IS NOT NULL ORDER BY id"
    return [(event, actor) for event, actor in rows(server.settings, query, user_id) if actor != user_id]
