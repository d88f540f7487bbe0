"""GET /sessions and DELETE /sessions/{session_id}: what a user sees of his sessions, and ends."""

import time
from functools import partial
from typing import Any

import httpx
import pytest

from tests.conftest import MakeServer
from tests.people import Person, log_in, refresh, sign_up, signed_in
from tests.server import UPKEEP_SECONDS, Server
from tests.sessions.answers import assert_refused, at_once, session_of, tokens_in, works
from tests.sessions.beside import rows, why_revoked
from tests.sessions.waiting import wait_until
from tests.users.asking import NOT_FOUND, detail_of

MEMBERS = ["id", "created_at", "last_used_at", "expires_at", "ip", "user_agent", "amr", "current"]


def listed(client: httpx.Client, person: Person, **query: Any) -> dict[str, Any]:
    answer = client.get("/sessions", headers=person.auth, params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    assert list(page) == ["items", "total", "skip", "limit"]
    return page


def ids(client: httpx.Client, person: Person, **query: Any) -> list[str]:
    return [item["id"] for item in listed(client, person, **query)["items"]]


def end(client: httpx.Client, person: Person, session_id: str) -> httpx.Response:
    return client.delete(f"/sessions/{session_id}", headers=person.auth)


@pytest.mark.rule("TK-8", "AD-5")
def test_a_session_is_shown_with_device_and_address(moving_server: Server) -> None:
    with moving_server.client(headers={"User-Agent": "Fernrohr/1.0 " + "x" * 300}) as client:
        person = signed_in(client)
        begun = moving_server.clock.now()
        moving_server.clock.advance(minutes=3)
        [item] = listed(client, person)["items"]
        assert list(item) == MEMBERS
        assert item["created_at"] == begun.isoformat()[:19]
        assert item["id"] == session_of(person)
        assert item["ip"] == "127.0.0.1"
        assert item["user_agent"] == ("Fernrohr/1.0 " + "x" * 300)[:256]
        assert item["amr"] == ["pwd"]
        assert item["current"] is True
        before = item["expires_at"]
        tokens_in(refresh(client, person.refresh_token))
        [item] = listed(client, person)["items"]
        assert item["last_used_at"] == moving_server.clock.now().isoformat()[:19]
        assert item["expires_at"] > before
        assert item["created_at"] == begun.isoformat()[:19]


@pytest.mark.rule("TK-8")
def test_the_newest_comes_first_and_only_ones_own_are_there(moving_server: Server) -> None:
    with moving_server.client() as client:
        person, other = sign_up(client), signed_in(client)
        sessions = []
        for _ in range(4):
            sessions.append(log_in(client, person))
            moving_server.clock.advance(seconds=1)
        newest_first = [session_of(session) for session in reversed(sessions)]
        assert ids(client, sessions[1]) == newest_first
        assert [item["current"] for item in listed(client, sessions[1])["items"]] == [False, False, True, False]
        assert ids(client, other) == [session_of(other)]
        page = listed(client, sessions[0], skip=1, limit=2)
        assert ([item["id"] for item in page["items"]], page["total"]) == (newest_first[1:3], 4)
        assert listed(client, sessions[0], skip=4) == {"items": [], "total": 4, "skip": 4, "limit": 10}


@pytest.mark.rule("TK-3", "TK-8")
def test_only_sessions_that_go_on_are_listed(moving_server: Server) -> None:
    with moving_server.client() as client:
        person = sign_up(client)
        idle, ended, kept = log_in(client, person), log_in(client, person), log_in(client, person)
        assert client.post("/auth/logout", headers=ended.auth).status_code == 204
        assert set(ids(client, kept)) == {session_of(idle), session_of(kept)}
        for _ in range(2):
            moving_server.clock.advance(days=3, hours=13)
            access, successor = tokens_in(refresh(client, kept.refresh_token))
            kept = Person(kept.user, kept.password, access, successor)
        assert ids(client, kept) == [session_of(kept)]
        assert end(client, kept, session_of(ended)).status_code == 404


@pytest.mark.rule("TK-6", "TK-7", "TK-8")
def test_one_session_ends_at_once_and_durably_and_no_other(server: Server, client: httpx.Client) -> None:
    here = signed_in(client)
    there, elsewhere = log_in(client, here), log_in(client, here)
    with client.stream("DELETE", f"/sessions/{session_of(there)}", headers=here.auth) as answer:
        assert answer.status_code == 204
        assert why_revoked(server.settings, session_of(there)) == "logged_out"
    assert not works(client, there.access_token)
    assert_refused(refresh(client, there.refresh_token))
    assert works(client, here.access_token)
    assert works(client, elsewhere.access_token)
    assert set(ids(client, here)) == {session_of(here), session_of(elsewhere)}
    assert end(client, here, session_of(there)).json() == NOT_FOUND
    assert end(client, here, session_of(here)).status_code == 204
    assert not works(client, here.access_token)
    recorded = "SELECT count(*) FROM audit_log WHERE user_id = ? AND event = 'logged_out'"
    assert rows(server.settings, recorded, here.id) == [(2,)]


@pytest.mark.rule("AD-3")
def test_somebody_elses_session_looks_like_one_that_is_not_there(client: httpx.Client) -> None:
    person, other = signed_in(client), signed_in(client)
    answers = [end(client, person, which) for which in (session_of(other), "nobodys", "%00", "x" * 300, "a b", "é")]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}
    assert answers[0].json() == NOT_FOUND
    assert works(client, other.access_token)


@pytest.mark.rule("D2")
def test_of_many_who_end_one_session_at_once_one_does(client: httpx.Client) -> None:
    person = signed_in(client)
    there = log_in(client, person)
    answers = at_once([partial(end, client, person, session_of(there))] * 6)
    assert sorted(answer.status_code for answer in answers) == [204, *[404] * 5]


@pytest.mark.any_engine
@pytest.mark.rule("IN-2")
@pytest.mark.parametrize("query", [{"skip": "x"}, {"skip": -1}, {"limit": 0}, {"limit": 101}, {"limit": ["1", "2"]}])
def test_a_page_that_cannot_be_is_refused(client: httpx.Client, query: dict[str, Any]) -> None:
    person = signed_in(client)
    detail_of(client.get("/sessions", headers=person.auth, params=query), 400)


@pytest.mark.any_engine
def test_nobody_sees_sessions_without_a_token(client: httpx.Client) -> None:
    person = signed_in(client)
    assert_refused(client.get("/sessions"))
    assert_refused(client.delete(f"/sessions/{session_of(person)}"))
    assert works(client, person.access_token)


@pytest.mark.rule("LA-4")
def test_where_a_session_came_from_is_forgotten_after_ninety_days(make_server: MakeServer) -> None:
    server = make_server(refresh_token_lifetime="365d", refresh_token_idle="365d")
    with server.client(headers={"User-Agent": "Fernrohr"}) as client:
        person = signed_in(client)
        server.clock.advance(days=89, hours=23)
        time.sleep(3 * UPKEEP_SECONDS)
        server.clock.advance(hours=1, seconds=1)
        young = log_in(client, person)
        query = "SELECT address FROM sessions WHERE id = ?"
        wait_until(lambda: rows(server.settings, query, session_of(person)) == [("",)])
        shown = {item["id"]: (item["ip"], item["user_agent"]) for item in listed(client, young)["items"]}
        assert shown == {session_of(person): (None, "Fernrohr"), session_of(young): ("127.0.0.1", "Fernrohr")}
