"""POST /auth/reauthenticate: the password again, in the session that one has; and proof of a password as such."""

from functools import partial

import httpx
import pytest
import structlog

from tests.conftest import MakeServer
from tests.login.inside import attempts_stored, deactivate, remove_password, throttle_rows
from tests.people import Person, bearer, log_in, patiently, refresh, signed_in
from tests.server import Server
from tests.sessions.aged import age
from tests.sessions.answers import assert_refused, at_once, claims_of, session_of, tokens_in, works
from tests.sessions.beside import rows, why_revoked
from tests.users.asking import detail_of

WRONG = "wrong-horse-Battery-9"
BUDGET = 30
"""Failures an hour in a network that one has signed in from (LG-4)."""


def again(client: httpx.Client, person: Person, password: str | None = None) -> httpx.Response:
    body = {"password": person.password if password is None else password}
    return client.post("/auth/reauthenticate", headers=person.auth, json=body)


@pytest.mark.rule("TK-8", "MF-4")
def test_the_session_goes_on_with_new_tokens_and_a_new_time_of_authentication(moving_server: Server) -> None:
    with moving_server.client() as client:
        person = signed_in(client)
        before = claims_of(person.access_token)
        moving_server.clock.advance(minutes=7)
        access, successor = tokens_in(again(client, person))
        after = claims_of(access)
        assert after["auth_time"] - before["auth_time"] == 7 * 60
        assert (after["sid"], after["sub"], after["amr"]) == (before["sid"], before["sub"], before["amr"])
        assert works(client, access)
        assert works(client, person.access_token)
        moving_server.clock.advance(minutes=1)
        refreshed, _ = tokens_in(refresh(client, successor))
        assert claims_of(refreshed)["auth_time"] == after["auth_time"]


@pytest.mark.rule("TK-3", "TK-8")
def test_the_absolute_lifetime_stays_what_it_was(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    age(server, person)
    query = "SELECT expires_at, created_at FROM sessions WHERE id = ?"
    before = rows(server.settings, query, session_of(person))
    tokens_in(again(client, person))
    assert rows(server.settings, query, session_of(person)) == before


@pytest.mark.rule("TK-5", "TK-8")
def test_the_refresh_token_before_is_spent_and_gives_nobody_the_new_one(moving_server: Server) -> None:
    """Neither inside the window for retries, where another tab may hold it, nor later, when it is taken for stolen."""
    with moving_server.client() as client:
        person = signed_in(client)
        moving_server.clock.advance(seconds=1)
        _, successor = tokens_in(again(client, person))
        moving_server.clock.advance(seconds=9)
        assert_refused(refresh(client, person.refresh_token))
        assert why_revoked(moving_server.settings, session_of(person)) is None
        _, latest = tokens_in(refresh(client, successor))
        assert tokens_in(refresh(client, successor))[1] == latest, "a retry of an ordinary refresh is one still"
        moving_server.clock.advance(seconds=10)
        assert_refused(refresh(client, person.refresh_token))
        assert why_revoked(moving_server.settings, session_of(person)) == "refresh_token_replayed"


@pytest.mark.rule("TK-4", "TK-8")
def test_a_token_spent_before_ends_the_session_at_once(moving_server: Server) -> None:
    with moving_server.client() as client:
        person = signed_in(client)
        _, second = tokens_in(refresh(client, person.refresh_token))
        moving_server.clock.advance(seconds=1)
        tokens_in(again(client, person))
        assert_refused(refresh(client, person.refresh_token))
        assert why_revoked(moving_server.settings, session_of(person)) == "refresh_token_replayed"
        assert_refused(refresh(client, second))


@pytest.mark.rule("D2", "TK-8")
def test_refreshes_at_the_same_time_get_an_older_token_or_none(moving_server: Server) -> None:
    """One token alone is live afterwards, and that is what whoever knew the password got."""
    with moving_server.client() as client:
        person = signed_in(client)
        moving_server.clock.advance(seconds=1)
        renewed, *others = at_once(
            [partial(again, client, person), *[partial(refresh, client, person.refresh_token)] * 8]
        )
        _, live = tokens_in(renewed)
        given = {tokens_in(answer)[1] for answer in others if answer.status_code == 200}
        assert live not in given
        assert len(given) <= 1
        assert tokens_in(refresh(client, live))


@pytest.mark.rule("D2", "TK-8")
def test_of_many_at_once_each_gets_a_pair_and_the_last_one_lives(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    tokens = [tokens_in(answer)[1] for answer in at_once([partial(patiently, partial(again, client, person))] * 4)]
    assert len(set(tokens)) == 4
    [(generation,)] = rows(server.settings, "SELECT generation FROM sessions WHERE id = ?", session_of(person))
    assert generation == 8
    [live] = [token for token in tokens if claims_of(token)["generation"] == generation]
    tokens_in(refresh(client, live))


@pytest.mark.rule("PW-7")
def test_a_wrong_password_is_403_and_signs_nobody_out(client: httpx.Client) -> None:
    person = signed_in(client)
    for wrong in (WRONG, "", "x" * 5000, person.password + " "):
        detail_of(again(client, person, wrong), 403, code="invalid_password")
    assert works(client, person.access_token)
    tokens_in(refresh(client, person.refresh_token))


def test_somebody_without_a_password_cannot_prove_one(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    remove_password(server, person)
    detail_of(again(client, person), 403, code="invalid_password")


@pytest.mark.rule("PW-7", "D2", "LG-3")
def test_wrong_proofs_and_wrong_logins_are_counted_together(client: httpx.Client) -> None:
    person = signed_in(client)
    credentials = {"email": person.email, "password": person.password}
    for _ in range(BUDGET // 2):
        again(client, person, WRONG)
        assert_refused(client.post("/auth/login", json=credentials | {"password": WRONG}))
    blocked = again(client, person)
    detail_of(blocked, 403, code="invalid_password")
    assert blocked.content == again(client, person, WRONG).content, "nobody is told of the block"
    assert_refused(client.post("/auth/login", json=credentials))
    assert works(client, person.access_token)


@pytest.mark.rule("PW-7", "LG-3")
def test_the_right_password_clears_what_was_counted(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    for times in (BUDGET - 1, 2):
        for _ in range(times):
            again(client, person, WRONG)
        tokens_in(again(client, person))
    assert not [row for row in throttle_rows(server.settings) if row.subject == f"user:{person.id}"]


@pytest.mark.rule("PW-7", "D2")
def test_no_number_of_guesses_at_once_exceeds_the_limit(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person = signed_in(client)
        with structlog.testing.capture_logs() as logged:
            guesses = at_once([partial(patiently, partial(again, client, person, WRONG))] * 50)
        assert {answer.status_code for answer in guesses} == {403}
        verified = [line for line in logged if line.get("reason") == "wrong password"]
        assert len(verified) == BUDGET
        assert attempts_stored(server.settings) == [BUDGET]


@pytest.mark.rule("D1", "TK-6")
def test_nobody_authenticates_again_in_a_session_that_has_ended(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    client.post("/auth/logout", headers=person.auth)
    assert_refused(again(client, person))
    person = signed_in(client)
    deactivate(server, person)
    assert_refused(again(client, person))
    assert_refused(client.post("/auth/reauthenticate", json={"password": person.password}))
    assert_refused(again(client, Person(person.user, person.password, person.refresh_token)))


@pytest.mark.any_engine
@pytest.mark.rule("SU-2")
@pytest.mark.parametrize("body", [{}, {"password": None}, {"password": 1}, {"password": ["x"]}, {"passwort": "x"}])
def test_a_body_without_a_password_is_refused_and_not_counted(
    server: Server, client: httpx.Client, body: dict[str, object]
) -> None:
    person = signed_in(client)
    detail_of(client.post("/auth/reauthenticate", headers=person.auth, json=body), 400)
    assert not [row for row in throttle_rows(server.settings) if row.subject == f"user:{person.id}"]


@pytest.mark.any_engine
def test_it_is_the_caller_whose_password_counts(client: httpx.Client) -> None:
    person, other = signed_in(client), signed_in(client, password="another-horse-Battery-7")
    detail_of(again(client, person, other.password), 403, code="invalid_password")
    body = {"password": other.password, "email": other.email, "user_id": other.id}
    detail_of(client.post("/auth/reauthenticate", headers=person.auth, json=body), 403, code="invalid_password")
    access, _ = tokens_in(again(client, person))
    assert claims_of(access)["sub"] == str(person.id)
    assert client.get("/users/me", headers=bearer(access)).json()["id"] == person.id
    assert log_in(client, other).access_token
