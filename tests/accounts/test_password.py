"""POST /users/me/password: a new password for whoever knows the old one (PW-7)."""

from functools import partial
from typing import Any

import httpx
import pytest

from tests.login.inside import stored_hash
from tests.mails import told
from tests.people import Person, log_in, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused, at_once, session_of, tokens_in, works
from tests.sessions.beside import rows, why_revoked
from tests.users.asking import detail_of

NEW = "another-horse-Battery-7"
WRONG = "wrong-horse-Battery-9"
FAILURES = 30
"""The budget of a session whose user has signed in from here before (LG-4)."""


def change(client: httpx.Client, person: Person, *, current: object = None, new: object = NEW) -> httpx.Response:
    body = {"current_password": person.password if current is None else current, "new_password": new}
    return client.post("/users/me/password", headers=person.auth, json=body)


def logs_in(client: httpx.Client, person: Person, password: str) -> bool:
    answer = client.post("/auth/login", json={"email": person.email, "password": password})
    return answer.status_code == 200


def recorded(server: Server, person: Person) -> int:
    query = "SELECT count(*) FROM audit_log WHERE user_id = ? AND event = 'password_changed'"
    [(count,)] = rows(server.settings, query, person.id)
    return int(count)


@pytest.mark.rule("PW-7", "TK-7")
def test_the_new_password_works_and_all_other_sessions_end(server: Server, client: httpx.Client) -> None:
    here, other = signed_in(client), signed_in(client)
    there = log_in(client, here)
    answer = change(client, here)
    assert (answer.status_code, answer.content) == (204, b"")
    assert why_revoked(server.settings, session_of(there)) == "password_changed"
    assert not works(client, there.access_token)
    assert_refused(refresh(client, there.refresh_token))
    assert works(client, here.access_token)
    tokens_in(refresh(client, here.refresh_token))
    assert works(client, other.access_token)
    assert not logs_in(client, here, here.password)
    assert logs_in(client, here, NEW)
    assert logs_in(client, other, other.password)
    assert recorded(server, here) == 1
    assert told(server.settings, here.email).count("password_changed") == 1
    assert "password_changed" not in told(server.settings, other.email)


@pytest.mark.rule("PW-7", "LG-3", "D2")
def test_a_wrong_current_password_changes_nothing_and_counts_like_a_login(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    there, before = log_in(client, person), stored_hash(server, person)
    for _ in range(FAILURES):
        detail_of(change(client, person, current=WRONG), 403, code="invalid_password")
    detail_of(change(client, person), 403, code="invalid_password")
    assert not logs_in(client, person, person.password)
    assert stored_hash(server, person) == before
    assert works(client, there.access_token)
    assert recorded(server, person) == 0
    assert "password_changed" not in told(server.settings, person.email)


@pytest.mark.any_engine
@pytest.mark.rule("PW-1", "PW-2", "PW-3")
@pytest.mark.parametrize("new", ["short", "x" * 257, "ß" * 513, "password1", "a\0bcdefgh", "{username}1"])
def test_a_new_password_must_be_as_strong_as_a_newcomers(server: Server, client: httpx.Client, new: str) -> None:
    person = signed_in(client)
    answer = change(client, person, new=new.format(username=person.user["username"]))
    assert answer.status_code == 400
    assert answer.json().get("code") in {"password_refused", None}
    assert logs_in(client, person, person.password)
    attempts = "SELECT count(*) FROM login_throttles WHERE subject = ?"
    assert rows(server.settings, attempts, f"user:{person.id}") == [(0,)], "nobody had to prove anything"


@pytest.mark.any_engine
@pytest.mark.rule("SU-2")
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"current_password": "x"},
        {"new_password": NEW},
        {"current_password": 1, "new_password": NEW},
        {"current_password": "x", "new_password": [NEW]},
    ],
)
def test_what_is_no_change_of_a_password_is_refused(client: httpx.Client, body: dict[str, Any]) -> None:
    person = signed_in(client)
    detail_of(client.post("/users/me/password", headers=person.auth, json=body), 400)
    assert logs_in(client, person, person.password)


@pytest.mark.rule("PW-7", "D2")
def test_of_two_sessions_that_change_it_at_once_one_wins_and_ends_the_other(
    server: Server, client: httpx.Client
) -> None:
    person = sign_up(client)
    sessions = [log_in(client, person) for _ in range(4)]
    new = [f"{NEW}-{number}" for number in range(4)]
    answers = at_once([partial(change, client, session, new=each) for session, each in zip(sessions, new, strict=True)])
    [won] = [number for number, answer in enumerate(answers) if answer.status_code == 204]
    for answer in answers[:won] + answers[won + 1 :]:
        assert answer.status_code in {401, 403}, answer.text
    assert [logs_in(client, person, each) for each in new] == [number == won for number in range(4)]
    assert [works(client, session.access_token) for session in sessions] == [number == won for number in range(4)]
    assert recorded(server, person) == 1
