"""Refreshing: rotation, retries and replays, through HTTP."""

from collections.abc import Callable

import httpx
import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.login.deactivation import deactivate_user
from ostiary.sessions.ending import end_session
from ostiary.users.accounts import delete_user
from tests.conftest import MakeServer
from tests.people import Person, log_in, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused, claims_of, session_of, tokens_in, works
from tests.sessions.beside import restarted, rows, why_revoked, write


@pytest.mark.rule("TK-4", "TK-8")
def test_a_refresh_answers_a_new_pair_and_both_tokens_work(client: httpx.Client) -> None:
    person = signed_in(client)
    answer = refresh(client, person.refresh_token)
    assert answer.status_code == 200
    assert list(answer.json()) == ["access_token", "refresh_token", "token_type"]
    assert answer.json()["token_type"] == "bearer"
    access, successor = tokens_in(answer)
    assert access != person.access_token
    assert successor != person.refresh_token
    assert works(client, access)
    assert works(client, person.access_token), "an access token lives until it expires; refreshing does not end it"
    assert tokens_in(refresh(client, successor))[1] not in {successor, person.refresh_token}


@pytest.mark.rule("TK-8")
def test_a_session_keeps_its_public_id_through_refreshes_and_each_login_has_its_own(client: httpx.Client) -> None:
    person = signed_in(client)
    access, successor = tokens_in(refresh(client, person.refresh_token))
    assert claims_of(access)["sid"] == claims_of(successor)["sid"] == session_of(person)
    assert session_of(log_in(client, person)) != session_of(person)


@pytest.mark.rule("TK-8")
def test_only_a_hash_of_the_refresh_token_is_stored(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    _, successor = tokens_in(refresh(client, person.refresh_token))
    stored = repr(rows(server.settings, "SELECT * FROM sessions WHERE id = ?", session_of(person)))
    for token in (person.refresh_token, successor):
        assert token.rsplit(".", 1)[1] not in stored


@pytest.mark.rule("TK-5")
def test_a_retry_within_the_window_answers_the_very_same_successor(moving_server: Server) -> None:
    with moving_server.client() as client:
        person = signed_in(client)
        _, successor = tokens_in(refresh(client, person.refresh_token))
        for seconds in (0, 5, 4.999):
            moving_server.clock.advance(seconds=seconds)
            access, repeated = tokens_in(refresh(client, person.refresh_token))
            assert repeated == successor
            assert works(client, access)
        assert tokens_in(refresh(client, successor))[1] != successor


@pytest.mark.rule("TK-4", "TK-5")
def test_a_replay_when_the_window_has_passed_ends_the_family(moving_server: Server) -> None:
    server = moving_server
    with server.client() as client:
        person = signed_in(client)
        access, successor = tokens_in(refresh(client, person.refresh_token))
        server.clock.advance(seconds=10)
        assert_replay_ends_the_family(server, client, person, person.refresh_token, [access], [successor])


@pytest.mark.rule("TK-4", "TK-5")
def test_a_replay_after_the_successor_was_used_ends_the_family_within_the_window(
    server: Server, client: httpx.Client
) -> None:
    person = signed_in(client)
    first_access, first = tokens_in(refresh(client, person.refresh_token))
    second_access, second = tokens_in(refresh(client, first))
    assert_replay_ends_the_family(
        server, client, person, person.refresh_token, [first_access, second_access], [first, second]
    )


@pytest.mark.rule("TK-4", "TK-5")
def test_without_a_window_every_replay_ends_the_family(make_server: MakeServer) -> None:
    server = make_server(refresh_replay_window="0s")
    with server.client() as client:
        person = signed_in(client)
        access, successor = tokens_in(refresh(client, person.refresh_token))
        assert_replay_ends_the_family(server, client, person, person.refresh_token, [access], [successor])


@pytest.mark.rule("TK-4", "TK-5")
def test_a_spent_token_counts_as_spent_though_it_has_expired_meanwhile(make_server: MakeServer) -> None:
    """As a retry within the window; and after it, as the sign of a theft, however late its owner comes back with it."""
    server = make_server(refresh_token_idle="1m")
    with server.client() as client:
        person = signed_in(client)
        server.clock.advance(seconds=59)
        access, successor = tokens_in(refresh(client, person.refresh_token))
        server.clock.advance(seconds=2)
        assert tokens_in(refresh(client, person.refresh_token))[1] == successor
        server.clock.advance(seconds=40)
        assert_replay_ends_the_family(server, client, person, person.refresh_token, [access], [successor])


def test_a_clock_that_is_stepped_back_does_not_open_the_window_again(moving_server: Server) -> None:
    server = moving_server
    with server.client() as client:
        person = signed_in(client)
        server.clock.advance(minutes=30)
        tokens_in(refresh(client, person.refresh_token))
        server.clock.advance(minutes=5)
        server.clock.step(minutes=-30)
        assert_refused(refresh(client, person.refresh_token))
        server.clock.step(minutes=30)
        assert why_revoked(server.settings, session_of(person)) == "refresh_token_replayed"


def assert_replay_ends_the_family(
    server: Server, client: httpx.Client, person: Person, spent: str, accesses: list[str], successors: list[str]
) -> None:
    """Present a spent token; the family must be gone in the database before the answer is read, and for everybody."""
    with client.stream("POST", "/auth/refresh", json={"refresh_token": spent}) as answer:
        assert why_revoked(server.settings, session_of(person)) == "refresh_token_replayed"
        answer.read()
    assert_refused(answer)
    for token in [*successors, spent]:
        assert_refused(refresh(client, token))
    assert not any(works(client, token) for token in [*accesses, person.access_token])
    assert works(client, log_in(client, person).access_token), "the person himself may log in again"


def _log_out(server: Server, client: httpx.Client, person: Person) -> None:  # noqa: ARG001 - one of several ways
    assert client.post("/auth/logout", headers=person.auth).status_code == 204


def _log_out_everywhere(server: Server, client: httpx.Client, person: Person) -> None:  # noqa: ARG001
    other = log_in(client, person)
    assert client.post("/auth/logout-all", headers=other.auth).status_code == 204


def _revoke(server: Server, client: httpx.Client, person: Person) -> None:  # noqa: ARG001
    write(server.settings, end_session, session_of(person), because="test", now=server.clock.now())


def _deactivate(server: Server, client: httpx.Client, person: Person) -> None:  # noqa: ARG001
    write(server.settings, deactivate_user, person.id, origin=OPERATOR, now=server.clock.now())


def _delete(server: Server, client: httpx.Client, person: Person) -> None:  # noqa: ARG001
    write(server.settings, delete_user, person.id, origin=OPERATOR, now=server.clock.now())


ENDINGS = [_log_out, _log_out_everywhere, _revoke, _deactivate, _delete]


@pytest.mark.rule("TK-5", "TK-6", "TK-7")
@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__.strip("_"))
def test_nothing_is_refreshed_once_the_session_has_ended(
    server: Server, client: httpx.Client, end: Callable[[Server, httpx.Client, Person], None]
) -> None:
    """Neither the live token nor, within the window, a retry with the one before it."""
    person = signed_in(client)
    access, successor = tokens_in(refresh(client, person.refresh_token))
    end(server, client, person)
    for token in (person.refresh_token, successor, person.refresh_token):
        assert_refused(refresh(client, token))
    assert not works(client, access)


@pytest.mark.rule("TK-4")
@pytest.mark.parametrize("change", [_deactivate, _delete, _revoke], ids=lambda change: change.__name__.strip("_"))
def test_a_replay_does_not_change_why_a_session_ended(
    server: Server, client: httpx.Client, change: Callable[[Server, httpx.Client, Person], None]
) -> None:
    person = signed_in(client)
    tokens_in(refresh(client, person.refresh_token))
    change(server, client, person)
    before = rows(server.settings, "SELECT * FROM sessions WHERE user_id = ?", person.id)
    assert_refused(refresh(client, person.refresh_token))
    assert rows(server.settings, "SELECT * FROM sessions WHERE user_id = ?", person.id) == before


@pytest.mark.rule("TK-4", "TK-5", "FL-1")
def test_a_restart_between_refresh_and_retry_changes_nothing(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person = signed_in(client)
        _, successor = tokens_in(refresh(client, person.refresh_token))
    server = restarted(make_server, server)
    server.clock.advance(seconds=9)
    with server.client() as client:
        access, repeated = tokens_in(refresh(client, person.refresh_token))
        assert repeated == successor
        assert works(client, access)
        _, third = tokens_in(refresh(client, successor))
    server = restarted(make_server, server)
    with server.client() as client:
        assert_refused(refresh(client, person.refresh_token))
        assert_refused(refresh(client, third))


def test_sessions_of_one_user_do_not_touch_each_other(client: httpx.Client) -> None:
    first = signed_in(client)
    second = log_in(client, first)
    assert first.refresh_token != second.refresh_token
    _, spent_successor = tokens_in(refresh(client, first.refresh_token))
    tokens_in(refresh(client, spent_successor))
    assert_refused(refresh(client, first.refresh_token))
    tokens_in(refresh(client, second.refresh_token))


@pytest.mark.rule("D3", "TK-2")
def test_neither_token_passes_for_the_other(client: httpx.Client) -> None:
    person = signed_in(client)
    assert_refused(refresh(client, person.access_token))
    assert not works(client, person.refresh_token)
    assert works(client, person.access_token)
    tokens_in(refresh(client, person.refresh_token))


def test_a_refresh_token_is_not_taken_from_anywhere_but_the_body(client: httpx.Client) -> None:
    person = sign_up(client)
    person = log_in(client, person)
    answer = client.post("/auth/refresh", headers={"Authorization": f"Bearer {person.refresh_token}"}, json={})
    assert_refused(answer)
    assert client.post("/auth/refresh", params={"refresh_token": person.refresh_token}, json={}).status_code == 400
