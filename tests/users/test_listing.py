"""GET /users: pages, their bounds, and that items, totals and single reads never disagree (AD-3, AD-5)."""

from typing import Any

import httpx
import pytest

from tests.conftest import MakeServer
from tests.login.inside import deactivate, demote, promote
from tests.people import Person, sign_up, signed_in
from tests.server import Server

MEMBERS = ["id", "email", "username", "is_active", "is_superuser", "created_at", "updated_at"]
MOST_SKIP = 2**53 - 1


@pytest.fixture
def reader(client: httpx.Client) -> Person:
    return signed_in(client)


def page(client: httpx.Client, person: Person, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/users{query}", headers=person.auth)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert list(body) == ["items", "total", "skip", "limit"]
    return body


def walk(client: httpx.Client, person: Person, limit: int) -> tuple[list[dict[str, Any]], set[int]]:
    """All items, page by page, and all totals that were told."""
    items: list[dict[str, Any]] = []
    totals = set()
    while True:
        body = page(client, person, f"?skip={len(items)}&limit={limit}")
        totals.add(body["total"])
        if not body["items"]:
            return items, totals
        assert len(body["items"]) <= limit
        items += body["items"]


def test_a_page_is_made_of_users_in_the_order_of_their_ids(client: httpx.Client, reader: Person) -> None:
    people = [sign_up(client) for _ in range(3)]
    body = page(client, reader, "?limit=100")
    assert all(list(item) == MEMBERS for item in body["items"])
    ids = [item["id"] for item in body["items"]]
    assert ids == sorted(set(ids))
    by_id = {item["id"]: item for item in body["items"]}
    for person in (reader, *people):
        assert by_id[person.id] == person.user


def test_pages_put_together_are_the_whole(client: httpx.Client, reader: Person) -> None:
    for _ in range(5):
        sign_up(client)
    whole = page(client, reader, "?limit=100")
    for limit in (1, 2, 7, 100):
        items, totals = walk(client, reader, limit)
        assert items == whole["items"]
        assert totals == {len(items)}


ECHOED = (
        ("", 0, 10), ("?", 0, 10), ("?skip=0", 0, 10), ("?limit=1", 0, 1), ("?limit=100", 0, 100),
        ("?skip=3", 3, 10), ("?skip=-0", 0, 10), ("?skip=007&limit=0005", 7, 5), (f"?skip={MOST_SKIP}", MOST_SKIP, 10),
        (f"?skip={'0' * 1000}1", 1, 10), ("?skip=9000000&limit=100", 9_000_000, 100),
        ("?other=1&SKIP=x&Limit=0", 0, 10), ("?%73kip=2", 2, 10), ("?skip=%32", 2, 10),
)  # fmt: skip


@pytest.mark.rule("IN-2")
def test_skip_and_limit_are_echoed(client: httpx.Client, reader: Person) -> None:
    for query, skip, limit in ECHOED:
        body = page(client, reader, query)
        assert (body["skip"], body["limit"]) == (skip, limit), query
        assert len(body["items"]) == min(limit, max(0, body["total"] - skip)), query


REFUSED = (
    "skip=-1", f"skip={2**53}", "skip=" + "9" * 30, "skip=" + "9" * 5_000, "skip=-" + "9" * 30, "skip=", "skip",
    "skip=ten", "skip=1.0", "skip=+1", "skip=%2B1", "skip=%201", "skip=1%20", "skip=1%0A", "skip=%D9%A3", "skip=1e3",
    "skip=%00", "skip=%ED%A0%80", "skip=%FF", "skip=0&skip=0", "skip=1&skip=2", "skip=1,2", "skip[]=1&skip=x",
    "limit=0", "limit=-0", "limit=101", "limit=-1", "limit=" + "9" * 30, "limit=", "limit=ten", "limit=10.0",
    "limit=1&limit=1", "limit=10&limit=", "limit=None", "limit=true", "limit=%20", "skip=0&limit=x",
)  # fmt: skip


@pytest.mark.rule("IN-2")
def test_what_is_no_integer_or_out_of_bounds_is_400(client: httpx.Client, reader: Person) -> None:
    for query in REFUSED:
        answer = client.get(f"/users?{query}", headers=reader.auth)
        assert answer.status_code == 400, query
        assert list(answer.json()) == ["detail"]
        assert answer.json()["detail"].startswith(("skip: ", "limit: "))


def see(client: httpx.Client, person: Person, ids: list[int]) -> tuple[set[int], int]:
    """Whom somebody sees in pages, one by one, and counted; all three must agree."""
    items, totals = walk(client, person, 3)
    listed = {item["id"] for item in items}
    assert totals == {len(items)}
    read = set()
    for user_id in ids:
        answer = client.get(f"/users/{user_id}", headers=person.auth)
        assert answer.status_code in {200, 404}
        if answer.status_code == 404:
            assert answer.json() == {"detail": "Resource not found"}
        else:
            assert answer.json() == next(item for item in items if item["id"] == user_id)
            read.add(user_id)
    assert read == listed
    return listed, totals.pop()


@pytest.mark.rule("AD-3", "AD-5")
@pytest.mark.parametrize("visibility", ["members", "self"])
def test_items_totals_and_single_reads_agree_for_every_caller(make_server: MakeServer, visibility: str) -> None:
    server = make_server(directory_visibility=visibility)
    with server.client() as client:
        admin, *people = [signed_in(client) for _ in range(4)]
        promote(server, admin)
        gone = sign_up(client)
        deactivate(server, gone)
        ids = [admin.id, *(person.id for person in people), gone.id]
        everybody = set(ids)
        asked = [*ids, 0, max(ids) + 1, 2**62]
        assert see(client, admin, asked) == (everybody, 5)
        for person in people:
            seen, total = see(client, person, asked)
            assert seen == (everybody if visibility == "members" else {person.id})
            assert total == len(seen)


@pytest.mark.rule("AD-3")
def test_who_sees_himself_only_finds_one_item_on_the_first_page_alone(make_server: MakeServer) -> None:
    with make_server(directory_visibility="self").client() as client:
        sign_up(client)
        person = signed_in(client)
        assert page(client, person) == {"items": [person.user], "total": 1, "skip": 0, "limit": 10}
        assert page(client, person, "?skip=1") == {"items": [], "total": 1, "skip": 1, "limit": 10}
        assert page(client, person, f"?skip={MOST_SKIP}&limit=100")["total"] == 1


@pytest.mark.rule("AD-3")
def test_whoever_is_no_superuser_any_more_sees_himself_at_once(make_server: MakeServer) -> None:
    server = make_server(directory_visibility="self")
    with server.client() as client:
        other, admin, second = sign_up(client), signed_in(client), sign_up(client)
        promote(server, second)
        promote(server, admin)
        assert page(client, admin)["total"] == 3
        demote(server, admin)
        assert page(client, admin)["total"] == 1
        assert client.get(f"/users/{other.id}", headers=admin.auth).status_code == 404


def test_somebody_who_is_hidden_answers_like_somebody_who_is_not_there(make_server: MakeServer) -> None:
    """In body and headers alike."""
    with make_server(directory_visibility="self").client() as client:
        other, person = sign_up(client), signed_in(client)
        hidden = client.get(f"/users/{other.id}", headers=person.auth)
        absent = client.get("/users/999999999", headers=person.auth)
        assert hidden.content == absent.content
        assert hidden.status_code == absent.status_code == 404
        changing = {"date", "x-request-id"}
        assert {k: v for k, v in hidden.headers.items() if k not in changing} == {
            k: v for k, v in absent.headers.items() if k not in changing
        }


def test_a_walk_through_pages_sees_nobody_twice_while_others_sign_up(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    for _ in range(4):
        sign_up(client)
    first = page(client, person, "?skip=0&limit=2")["items"]
    with server.client() as other:
        sign_up(other)
    second = page(client, person, "?skip=2&limit=2")["items"]
    ids = [item["id"] for item in (*first, *second)]
    assert ids == sorted(set(ids))
