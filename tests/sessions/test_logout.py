"""POST /auth/logout and /auth/logout-all."""

import httpx
import pytest

from tests.people import bearer, log_in, refresh, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused, session_of, tokens_in, works
from tests.sessions.beside import why_revoked


@pytest.mark.rule("TK-6", "TK-7")
def test_logging_out_ends_this_session_at_once_and_no_other(client: httpx.Client) -> None:
    here = signed_in(client)
    elsewhere, somebody_else = log_in(client, here), signed_in(client)
    answer = client.post("/auth/logout", headers=here.auth)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers
    assert not works(client, here.access_token)
    assert_refused(refresh(client, here.refresh_token))
    for person in (elsewhere, somebody_else):
        assert works(client, person.access_token)
        tokens_in(refresh(client, person.refresh_token))


@pytest.mark.rule("TK-6", "TK-7")
def test_logging_out_everywhere_ends_all_own_sessions_at_once_and_nobody_elses(client: httpx.Client) -> None:
    here = signed_in(client)
    elsewhere, somebody_else = log_in(client, here), signed_in(client)
    answer = client.post("/auth/logout-all", headers=here.auth)
    assert (answer.status_code, answer.content) == (204, b"")
    for person in (here, elsewhere):
        assert not works(client, person.access_token)
        assert_refused(refresh(client, person.refresh_token))
    assert works(client, somebody_else.access_token)
    tokens_in(refresh(client, somebody_else.refresh_token))
    assert works(client, log_in(client, here).access_token)


@pytest.mark.rule("TK-6")
def test_logging_out_ends_every_access_token_of_the_session(client: httpx.Client) -> None:
    person = signed_in(client)
    access, successor = tokens_in(refresh(client, person.refresh_token))
    assert client.post("/auth/logout", headers=person.auth).status_code == 204
    assert not works(client, access)
    assert_refused(refresh(client, successor))


@pytest.mark.rule("TK-7")
@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout-all"])
def test_the_end_is_on_disk_before_it_is_answered(server: Server, client: httpx.Client, path: str) -> None:
    person = signed_in(client)
    with client.stream("POST", path, headers=person.auth) as answer:
        assert answer.status_code == 204
        assert why_revoked(server.settings, session_of(person)) == "logged_out"


@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout-all"])
def test_a_session_that_has_ended_cannot_end_again(client: httpx.Client, path: str) -> None:
    person = signed_in(client)
    assert client.post(path, headers=person.auth).status_code == 204
    assert_refused(client.post(path, headers=person.auth))
    assert_refused(client.post("/auth/logout-all", headers=person.auth))


@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout-all"])
def test_logging_out_needs_a_live_access_token(client: httpx.Client, path: str) -> None:
    person = signed_in(client)
    assert_refused(client.post(path))
    assert_refused(client.post(path, headers=bearer(person.refresh_token)))
    assert_refused(client.post(path, json={"refresh_token": person.refresh_token}))
    assert works(client, person.access_token)


@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout-all"])
def test_a_body_that_logging_out_has_no_use_for_is_let_pass(client: httpx.Client, path: str) -> None:
    person = signed_in(client)
    assert client.post(path, headers=person.auth, content=b"{").status_code == 204
