"""DELETE /users/me: who may, what is gone, and who stays."""

from functools import partial

import httpx
import pytest

from tests.conftest import MakeServer
from tests.login.inside import promote
from tests.people import log_in, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.aged import age
from tests.sessions.answers import assert_refused, at_once
from tests.sessions.beside import rows
from tests.users.asking import detail_of


@pytest.mark.rule("TK-7", "AD-6")
def test_an_account_that_is_closed_is_gone_with_all_its_sessions(server: Server, client: httpx.Client) -> None:
    person, other = signed_in(client), signed_in(client)
    elsewhere = log_in(client, person)
    answer = client.delete("/users/me", headers=person.auth)
    assert (answer.status_code, answer.content) == (204, b"")
    for session in (person, elsewhere):
        assert_refused(client.get("/users/me", headers=session.auth))
        assert_refused(refresh(client, session.refresh_token))
    assert_refused(client.post("/auth/login", json={"email": person.email, "password": person.password}))
    assert client.get(f"/users/{person.id}", headers=other.auth).status_code == 404
    assert rows(server.settings, "SELECT id FROM sessions WHERE user_id = ?", person.id) == []
    again = sign_up(client, email=person.email, username=person.user["username"])
    assert again.id > person.id, "an id is never given out twice"


@pytest.mark.rule("MF-4")
def test_closing_asks_for_a_session_that_was_authenticated_a_moment_ago(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    for seconds in (300, 86400, -300):
        age(server, person, seconds=seconds)
        detail_of(client.delete("/users/me", headers=person.auth), 403, code="reauthentication_required")
    assert client.get("/users/me", headers=person.auth).status_code == 200
    age(server, person, seconds=299.9)
    assert client.delete("/users/me", headers=person.auth).status_code == 204


@pytest.mark.rule("MF-4")
def test_refreshing_does_not_count_as_authenticating_and_authenticating_again_does(
    server: Server, client: httpx.Client
) -> None:
    person = signed_in(client)
    age(server, person)
    access = refresh(client, person.refresh_token).json()["access_token"]
    auth = {"Authorization": f"Bearer {access}"}
    detail_of(client.delete("/users/me", headers=auth), 403, code="reauthentication_required")
    assert client.post("/auth/reauthenticate", headers=auth, json={"password": person.password}).status_code == 200
    assert client.delete("/users/me", headers=auth).status_code == 204


@pytest.mark.rule("AD-4")
def test_the_last_superuser_stays_also_when_all_of_them_go_at_once(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        people = [signed_in(client) for _ in range(4)]
        for person in people:
            promote(server, person)
        answers = at_once([partial(client.delete, "/users/me", headers=person.auth) for person in people])
        [kept] = [answer for answer in answers if answer.status_code != 204]
        detail_of(kept, 403, code="last_superuser")
        [left] = [person for person, answer in zip(people, answers, strict=True) if answer is kept]
        assert client.get("/users/me", headers=left.auth).json()["id"] == left.id
