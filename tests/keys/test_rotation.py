"""Signing keys change by command and by age, while the server runs and nobody is signed out (SK-4)."""

import pytest

from tests.conftest import MakeServer
from tests.keys.inside import kid_of, published, revoke, rotate
from tests.people import Person, bearer, log_in, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused, tokens_in
from tests.sessions.waiting import wait_until


def new_token(server: Server, person: Person) -> str:
    """An access token of this moment, from a new session."""
    with server.client() as client:
        return log_in(client, person).access_token


def works(server: Server, token: str) -> bool:
    with server.client() as client:
        answer = client.get("/users/1", headers=bearer(token))
    if answer.status_code != 200:
        assert_refused(answer)
    return answer.status_code == 200


@pytest.mark.rule("SK-4")
def test_a_rotated_key_is_published_a_day_before_it_signs_and_the_old_one_outlives_its_tokens(
    make_server: MakeServer,
) -> None:
    server = make_server()
    with server.client() as client:
        person = sign_up(client)
    [old] = published(server)
    new = rotate(server).kid
    wait_until(lambda: set(published(server)) == {old, new})
    assert kid_of(new_token(server, person)) == old

    server.clock.advance(hours=23, minutes=59)
    last = new_token(server, person)
    assert kid_of(last) == old
    server.clock.advance(minutes=1)
    assert kid_of(new_token(server, person)) == new
    assert works(server, last)

    server.clock.advance(minutes=13, seconds=59)
    assert works(server, last)
    assert old in published(server)
    server.clock.advance(hours=2)
    wait_until(lambda: set(published(server)) == {new})
    assert not works(server, last)


@pytest.mark.rule("SK-4")
def test_a_key_is_replaced_by_age_without_a_restart(make_server: MakeServer) -> None:
    server = make_server(refresh_token_lifetime="365d", refresh_token_idle="365d")
    with server.client() as client:
        person = signed_in(client)
        [old] = published(server)
        server.clock.advance(days=88, hours=23)
        assert set(published(server)) == {old}
        server.clock.advance(hours=1)
        wait_until(lambda: len(published(server)) == 2)
        [new] = set(published(server)) - {old}
        access, newest = tokens_in(refresh(client, person.refresh_token))
        assert kid_of(access) == old
        server.clock.advance(days=1)
        access, _ = tokens_in(refresh(client, newest))
        assert kid_of(access) == new


@pytest.mark.rule("SK-4")
def test_rotating_at_once_signs_with_the_new_key_and_still_accepts_the_old(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person = signed_in(client)
    new = rotate(server, at_once=True).kid
    wait_until(lambda: kid_of(new_token(server, person)) == new)
    assert works(server, person.access_token)


@pytest.mark.rule("SK-4", "TK-1")
def test_a_revoked_key_is_refused_within_a_round_and_sessions_go_on(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person = signed_in(client)
        old = kid_of(person.access_token)
        revoke(server, old)
        wait_until(lambda: old not in published(server))
        assert not works(server, person.access_token)
        access, _ = tokens_in(refresh(client, person.refresh_token))
        assert kid_of(access) != old
        assert works(server, access)


@pytest.mark.rule("SK-4")
def test_revoking_a_key_that_does_not_sign_yet_keeps_it_from_ever_signing(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person = sign_up(client)
    [old] = published(server)
    revoke(server, rotate(server).kid)
    server.clock.advance(days=2)
    assert kid_of(new_token(server, person)) == old


@pytest.mark.rule("SK-4")
def test_another_algorithm_in_the_settings_rotates_like_any_change(make_server: MakeServer) -> None:
    before = make_server()
    with before.client() as client:
        person = signed_in(client)
    before.__exit__()
    server = make_server(like=before, signing_algorithm="EdDSA")
    assert {key["alg"] for key in published(server).values()} == {"ES256", "EdDSA"}
    assert works(server, person.access_token)
    server.clock.advance(days=1)
    token = new_token(server, person)
    assert published(server)[kid_of(token)]["alg"] == "EdDSA"
    assert works(server, token)


@pytest.mark.rule("SK-4", "TK-6")
def test_a_key_that_a_sister_server_made_is_accepted_at_once(make_server: MakeServer, engine: str) -> None:
    """Two servers need PostgreSQL; on SQLite the command line is the sister."""
    one = make_server()
    with one.client() as client:
        person = sign_up(client)
    rotate(one, at_once=True)
    if engine == "sqlite":
        wait_until(lambda: works(one, new_token(one, person)))
        return
    two = make_server(like=one)
    assert works(one, new_token(two, person))
