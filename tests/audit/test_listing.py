"""GET /audit: who may read it, what it shows, how it is walked through."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from ostiary.audit import listing
from ostiary.audit.events import Event
from ostiary.audit.origin import OPERATOR, SYSTEM
from ostiary.audit.recording import record
from tests.conftest import MakeServer
from tests.login.inside import promote
from tests.people import Person, log_in, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import session_of
from tests.sessions.beside import write


@pytest.fixture
def admin(server: Server, client: httpx.Client) -> Person:
    person = signed_in(client)
    promote(server, person)
    return person


def read(client: httpx.Client, caller: Person, **query: Any) -> dict[str, Any]:
    answer = client.get("/audit", params=query, headers=caller.auth)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def following(answer: httpx.Response) -> str | None:
    """The next page's path and query, as its address may be another than the test's."""
    link = answer.links.get("next")
    return None if link is None else f"/audit?{link['url'].partition('?')[2]}"


def walk(client: httpx.Client, caller: Person, **query: Any) -> list[dict[str, Any]]:
    """Follow the links from the first page to the last."""
    items: list[dict[str, Any]] = []
    answer = client.get("/audit", params=query, headers=caller.auth)
    while True:
        items += answer.json()["items"]
        path = following(answer)
        if path is None:
            return items
        assert "skip" not in path
        answer = client.get(path, headers=caller.auth)


def test_a_row_shows_what_happened(server: Server, client: httpx.Client, admin: Person) -> None:
    person = sign_up(client)
    answer = client.post(
        "/auth/login", json={"email": person.email, "password": person.password}, headers={"User-Agent": "a browser"}
    )
    session = session_of(Person(person.user, "", answer.json()["access_token"]))
    [shown] = read(client, admin, user_id=person.id, event="login_succeeded")["items"]
    assert list(shown) == ["id", "at", "event", "actor", "target", "ip", "user_agent", "request_id", "details"]
    assert {name: value for name, value in shown.items() if name != "id"} == {
        "at": server.clock.now().isoformat()[:19],
        "event": "login_succeeded",
        "actor": person.id,
        "target": person.id,
        "ip": "127.0.0.1",
        "user_agent": "a browser",
        "request_id": answer.headers["x-request-id"],
        "details": {"session": session, "amr": "pwd"},
    }


def test_operators_and_the_server_act_without_an_address(client: httpx.Client, admin: Person) -> None:
    [promoted] = read(client, admin, user_id=admin.id, event="user_promoted")["items"]
    assert (promoted["actor"], promoted["ip"], promoted["user_agent"], promoted["request_id"]) == (
        "operator",
        None,
        None,
        None,
    )
    [published] = read(client, admin, event="signing_key_published")["items"]
    assert (published["actor"], published["target"]) == ("system", None)


@pytest.mark.any_engine
def test_only_who_may_reads_it(client: httpx.Client, admin: Person) -> None:
    person = signed_in(client)
    assert client.get("/audit").status_code == 401
    refused = client.get("/audit", headers=person.auth)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert client.get("/audit", params={"limit": "x"}, headers=person.auth).status_code == 403
    assert read(client, admin)["items"]


def test_filters_narrow_and_fit_together(client: httpx.Client, admin: Person) -> None:
    one, two = sign_up(client), sign_up(client)
    for person in (one, two, one):
        log_in(client, person)
    assert read(client, admin, user_id=one.id)["total"] == 3
    assert read(client, admin, actor_id=one.id)["total"] == 2, "signing up, nobody is anybody yet"
    assert read(client, admin, user_id=one.id, event="user_signed_up")["total"] == 1
    assert read(client, admin, user_id=one.id, actor_id=two.id)["total"] == 0
    everything = read(client, admin, limit=100)
    assert everything["total"] > 5
    assert [item["id"] for item in everything["items"]] == sorted(
        (item["id"] for item in everything["items"]), reverse=True
    )


def test_since_and_until_cut_a_stretch_of_time(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        admin = signed_in(client)
        promote(server, admin)
        started = server.clock.now().replace(microsecond=0)
        ids = []
        for _ in range(3):
            server.clock.advance(seconds=60)
            ids.append(sign_up(client).id)

        def seen(**query: str) -> list[int]:
            items = read(client, admin, event="user_signed_up", **query)["items"]
            return [item["target"] for item in reversed(items)]

        minutes = [(started + timedelta(minutes=number)).isoformat()[:19] for number in range(5)]
        assert seen(since=minutes[1]) == ids
        assert seen(since=minutes[2]) == ids[1:]
        assert seen(since=minutes[2], until=minutes[3]) == ids[1:2]
        assert seen(until=minutes[2]) == [admin.id, ids[0]]
        assert seen(since=minutes[4]) == []


def test_links_lead_through_everything_once_while_more_is_added(client: httpx.Client, admin: Person) -> None:
    person = sign_up(client)
    for _ in range(6):
        log_in(client, person)
    expected = read(client, admin, user_id=person.id, limit=100)["items"]
    assert walk(client, admin, user_id=person.id, limit=2) == expected
    first = client.get("/audit", params={"user_id": person.id, "limit": 4}, headers=admin.auth)
    log_in(client, person)
    path = following(first)
    assert path is not None
    rest = client.get(path, headers=admin.auth).json()["items"]
    assert {item["id"] for item in rest}.isdisjoint(item["id"] for item in first.json()["items"])
    assert following(client.get("/audit", params={"user_id": person.id, "limit": 8}, headers=admin.auth)) is None


def test_skip_and_limit_page_as_everywhere(client: httpx.Client, admin: Person) -> None:
    person = sign_up(client)
    for _ in range(3):
        log_in(client, person)
    everything = read(client, admin, user_id=person.id)["items"]
    page = read(client, admin, user_id=person.id, skip=1, limit=2)
    assert page == {"items": everything[1:3], "total": 4, "skip": 1, "limit": 2}
    assert read(client, admin, skip=2**53 - 1)["items"] == []


@pytest.mark.any_engine
@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"skip": "-1"}, "skip: must be from 0 to 9007199254740991"),
        ({"limit": "101"}, "limit: must be from 1 to 100"),
        ({"user_id": "0"}, "user_id: must be from 1 to 9223372036854775807"),
        ({"user_id": "9" * 30}, "user_id: must be from 1 to 9223372036854775807"),
        ({"actor_id": "me"}, "actor_id: an integer is required"),
        ({"actor_id": ["1", "2"]}, "actor_id: given more than once"),
        ({"event": "nonsense"}, "event: not one of the words that are known here"),
        ({"event": ""}, "event: not one of the words that are known here"),
        ({"since": "yesterday"}, "since: a moment like 2024-01-01T00:00:00 is required"),
        ({"since": "2024-13-01T00:00:00"}, "since: a moment like 2024-01-01T00:00:00 is required"),
        ({"until": "2024-01-01T00:00:00Z"}, "until: a moment like 2024-01-01T00:00:00 is required"),
        ({"until": "\u0662024-01-01T00:00:00"}, "until: a moment like 2024-01-01T00:00:00 is required"),
        ({"cursor": "x", "skip": "1"}, "cursor: cannot be combined with skip"),
        ({"cursor": "x" * 2000}, "cursor: not one of ours"),
    ],
)
def test_bad_parameters_are_named(client: httpx.Client, admin: Person, query: dict[str, Any], detail: str) -> None:
    answer = client.get("/audit", params=query, headers=admin.auth)
    assert (answer.status_code, answer.json()["detail"]) == (400, detail)


@pytest.mark.any_engine
@pytest.mark.rule("IN-3")
def test_cursors_are_ours_or_nothing(server: Server, client: httpx.Client, admin: Person) -> None:
    path = following(client.get("/audit", params={"limit": 1}, headers=admin.auth))
    assert path is not None
    cursor = path.partition("cursor=")[2]
    cursors = server.app.cursors
    changed = [cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :] for place in (0, 30)]
    foreign = [cursors.issue("users", "x"), cursors.issue("audit", 1), cursors.issue("audit"), "", "é", "A" * 22]
    for bad in (*changed, cursor + "A", cursor + "=", cursor[:-1], *foreign):
        answer = client.get("/audit", params={"cursor": bad}, headers=admin.auth)
        assert (answer.status_code, answer.json().get("code")) == (400, "cursor_invalid"), bad
    assert client.get("/audit", params={"cursor": cursor}, headers=admin.auth).status_code == 200


def test_a_total_is_counted_no_further_than_anybody_reads(
    server: Server, client: httpx.Client, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = sign_up(client)

    def more(connection: Connection) -> None:
        for _ in range(4):
            record(connection, Event.LOGIN_FAILED, SYSTEM, user_id=person.id, now=server.clock.now())
            record(connection, Event.LOGIN_FAILED, OPERATOR, now=server.clock.now())

    write(server.settings, more)
    monkeypatch.setattr(listing, "MOST_COUNTED", 4)
    capped = client.get("/audit", params={"user_id": person.id, "limit": 1}, headers=admin.auth)
    assert (capped.json()["total"], capped.headers["x-total-capped"]) == (4, "true")
    exact = client.get("/audit", params={"user_id": person.id, "event": "login_failed"}, headers=admin.auth)
    assert exact.json()["total"] == 4
    assert "x-total-capped" not in exact.headers
