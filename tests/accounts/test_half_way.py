"""The end of an account, under way when its owner changes something: nobody gets in between, and nothing fails."""

from collections.abc import Callable
from functools import partial

import httpx
import pytest

from tests.people import Person, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused
from tests.sessions.beside import rows
from tests.sessions.test_half_way import Coming, half_way

CHANGES: dict[str, Callable[[httpx.Client, Person], httpx.Response]] = {
    "profile": lambda client, person: client.patch(
        "/users/me/profile", headers=person.auth, json={"language": "de", "metadata": {"a": 1}}
    ),
    "username": lambda client, person: client.patch(
        "/users/me", headers=person.auth, json={"username": f"{person.user['username']}-2"}
    ),
    "password": lambda client, person: client.post(
        "/users/me/password",
        headers=person.auth,
        json={"current_password": person.password, "new_password": "another-horse-Battery-7"},
    ),
    "reauthentication": lambda client, person: client.post(
        "/auth/reauthenticate", headers=person.auth, json={"password": person.password}
    ),
    "closing": lambda client, person: client.delete("/users/me", headers=person.auth),
}


@pytest.mark.rule("D1", "TK-7", "IN-2")
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_meets_the_end_of_its_account_is_refused(
    server: Server, client: httpx.Client, change: str
) -> None:
    person = signed_in(client)
    with half_way(server.settings, f"DELETE FROM users WHERE id = {person.id}"):
        coming = Coming(partial(CHANGES[change], client, person))
        coming.let_it_wait(server.settings)
    assert_refused(coming.answer)
    assert rows(server.settings, "SELECT user_id FROM profiles WHERE user_id = ?", person.id) == []
