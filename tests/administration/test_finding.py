"""GET /users with filters, an order or a cursor: what callers may ask and what they are answered (IN-3, AD-3)."""

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from ostiary.administration.walks import ORDERS
from tests.administration.asking import superuser
from tests.conftest import MakeServer
from tests.login.inside import deactivate
from tests.people import Person, sign_up, signed_in
from tests.roles.planted import plant_holder, plant_role
from tests.server import Server
from tests.users.asking import MEMBERS, detail_of, plant_user


@pytest.fixture(scope="module")
def people(server: Server) -> list[dict[str, Any]]:
    """Some users with names that tell them apart from all others on the server."""
    names = [("Anna", "zoe"), ("anton", "bert"), ("berta", "ANNIKA"), ("carl", "dora")]
    for local_part, username in names:
        plant_user(server, email=f"{local_part}@xn--bcher-kva.example", username=username)
    with server.client() as client:
        reader = superuser(server, client)
        found = search(client, reader, sort="username", limit=100)["items"]
    return [user for user in found if user["email"].endswith("xn--bcher-kva.example")]


def ask(client: httpx.Client, by: Person, **query: object) -> httpx.Response:
    return client.get("/users", params={name: str(value) for name, value in query.items()}, headers=by.auth)


def search(client: httpx.Client, by: Person, **query: object) -> dict[str, Any]:
    answer = ask(client, by, **query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert list(body) == ["items", "total", "skip", "limit"]
    assert all(list(item) == MEMBERS for item in body["items"])
    return body


def link_in(answer: httpx.Response) -> str | None:
    """Where the next page is, as the server says."""
    if "link" not in answer.headers:
        return None
    found = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers["link"])
    assert found is not None
    return found[1]


@pytest.fixture
def reader(server: Server, client: httpx.Client) -> Person:
    return superuser(server, client)


def test_q_is_how_an_address_or_a_username_begins_in_any_case(
    client: httpx.Client, reader: Person, people: list[dict[str, Any]]
) -> None:
    by_name = {user["username"]: user for user in people}
    for q, expected in (
        ("ann", ["ANNIKA", "zoe"]),
        ("AN", ["ANNIKA", "bert", "zoe"]),
        ("bert", ["ANNIKA", "bert"]),
        ("anna@", ["zoe"]),
        ("anna@xn--b", ["zoe"]),
        ("Anna@Bücher.example", ["zoe"]),
        ("nna", []),
        ("%", []),
        ("an_on", []),
        ("carl@xn--bcher-kva.example", ["dora"]),
        ("carl@xn--bcher-kva.example.", []),
        ("\N{GREEK SMALL LETTER ALPHA}", []),
        ("x" * 254, []),
    ):
        body = search(client, reader, q=q, sort="username")
        assert [user["username"] for user in body["items"]] == expected, q
        assert body["total"] == len(expected)
        assert body["items"] == [by_name[name] for name in expected]


def test_states_and_roles_narrow_and_combine(server: Server, client: httpx.Client, reader: Person) -> None:
    people = [sign_up(client, username=f"narrow-{reader.id}-{number}") for number in range(4)]
    plant_role(server, f"role-{reader.id}")
    for person in people[1:3]:
        plant_holder(server, person.id, f"role-{reader.id}")
    deactivate(server, people[2])
    common = {"q": f"narrow-{reader.id}"}

    def found(**query: object) -> list[int]:
        body = search(client, reader, **(common | query))
        assert body["total"] == len(body["items"])
        return [people.index(next(p for p in people if p.id == user["id"])) for user in body["items"]]

    assert found() == [0, 1, 2, 3]
    assert found(is_active="true") == [0, 1, 3]
    assert found(is_active="false") == [2]
    assert found(is_superuser="false") == [0, 1, 2, 3]
    assert found(is_superuser="true") == []
    assert found(role=f"role-{reader.id}") == [1, 2]
    assert found(role=f"role-{reader.id}", is_active="true") == [1]
    assert found(role="unknown") == []
    assert found(sort="-id") == [3, 2, 1, 0]
    admins = search(client, reader, is_superuser="true", limit=100)["items"]
    assert reader.id in [user["id"] for user in admins]
    assert all(user["is_superuser"] for user in admins)


@pytest.mark.rule("IN-3")
@pytest.mark.parametrize("sort", ORDERS)
def test_links_lead_through_all_pages(client: httpx.Client, reader: Person, sort: str) -> None:
    for _ in range(3):
        sign_up(client)
    whole = search(client, reader, sort=sort, limit=100)["items"]
    for query in ({}, {"is_active": "true"}):
        answer = ask(client, reader, sort=sort, limit=4, **query)
        seen, pages = list(answer.json()["items"]), 1
        while (link := link_in(answer)) is not None:
            assert link.startswith("http://localhost:8000/api/v1/users?")
            asked = dict(parse_qsl(urlsplit(link).query))
            assert {"sort": sort, "limit": "4"} | query == {k: v for k, v in asked.items() if k != "cursor"}
            answer = ask(client, reader, **asked)
            assert answer.status_code == 200
            assert answer.json()["skip"] == 0
            seen += answer.json()["items"]
            pages += 1
        expected = [user for user in whole if user["is_active"] or not query]
        assert seen == expected
        assert pages == max(1, -(-len(expected) // 4))


def test_the_plain_page_has_no_link_and_is_the_same_as_in_the_order_of_ids(
    client: httpx.Client, reader: Person
) -> None:
    plain, sorted_by_id = client.get("/users?skip=1", headers=reader.auth), ask(client, reader, skip=1, sort="id")
    assert plain.content == sorted_by_id.content
    assert "link" not in plain.headers
    assert "x-total-capped" not in plain.headers
    # `skip` reaches any distance in the order of ids.
    beyond = search(client, reader, sort="id", skip=2**53 - 1)
    assert (beyond["items"], beyond["total"] > 0) == ([], True)


BAD = (
    "q=", "q=%00", "q=a%0Ab", "q=%7F", f"q={'a' * 255}", "q=a&q=b", "is_active=", "is_active=1", "is_active=True",
    "is_active=yes", "is_superuser=null", "is_superuser=true&is_superuser=true", "role=", "role=A", "role=a%20b",
    f"role={'a' * 65}", "role=a&role=a", "sort=", "sort=password", "sort=ID", "sort=--id", "sort=id,email", "sort=+id",
    "sort=id&sort=id", "sort=email_key", "sort=id%20desc", "sort=id;drop table users", "cursor=", "cursor=x",
    "cursor=x&cursor=y", "cursor=%C3%A9", f"cursor={'A' * 2000}", "sort=id&skip=-1", "sort=id&limit=101", "q=a&skip=x",
)  # fmt: skip


@pytest.mark.any_engine
@pytest.mark.rule("IN-2", "IN-3")
def test_what_cannot_be_understood_is_400(client: httpx.Client, reader: Person) -> None:
    for query in BAD:
        answer = client.get(f"/users?{query}", headers=reader.auth)
        assert answer.status_code == 400, query
        assert answer.json()["detail"]
        assert set(answer.json()) <= {"detail", "code"}


@pytest.mark.any_engine
@pytest.mark.rule("IN-3")
def test_a_cursor_is_good_for_the_search_it_was_given_to_and_as_it_was_given(
    server: Server, client: httpx.Client, reader: Person
) -> None:
    def cursor_of(**query: object) -> str:
        link = link_in(ask(client, reader, limit=1, **query))
        assert link is not None
        return dict(parse_qsl(urlsplit(link).query))["cursor"]

    plant_user(server)
    cursor = cursor_of(sort="email")
    assert ask(client, reader, sort="email", cursor=cursor, limit=7).status_code == 200
    others: tuple[dict[str, object], ...] = (
        {"sort": "-email"}, {"sort": "username"}, {}, {"sort": "email", "q": "a"},
        {"sort": "email", "is_active": "true"},
    )  # fmt: skip
    for query in others:
        assert detail_of(ask(client, reader, cursor=cursor, **query), 400, code="cursor_invalid")
    for changed in (
        cursor[:-1],
        cursor[:-4],
        cursor + "A",
        ("B" if cursor[0] == "A" else "A") + cursor[1:],
        cursor.swapcase(),
    ):
        assert detail_of(ask(client, reader, sort="email", cursor=changed), 400, code="cursor_invalid")
    assert detail_of(ask(client, reader, sort="email", cursor=cursor, skip=1), 400)
    assert detail_of(
        ask(client, reader, q="a", sort="email", cursor=cursor_of(sort="email", q="user")), 400, code="cursor_invalid"
    )


@pytest.mark.rule("AD-3", "AD-5")
def test_filters_work_for_everyone_on_whom_he_sees(make_server: MakeServer) -> None:
    server = make_server(directory_visibility="self")
    with server.client() as client:
        admin, person = superuser(server, client), signed_in(client)
        plant_role(server, "staff")
        plant_holder(server, person.id, "staff")
        plant_holder(server, admin.id, "staff")
        for query, sees_himself in (
            ({"q": "user-"}, True),
            ({"q": person.email}, True),
            ({"q": admin.email}, False),
            ({"is_superuser": "true"}, False),
            ({"is_superuser": "false"}, True),
            ({"is_active": "false"}, False),
            ({"role": "staff"}, True),
            ({"role": "other"}, False),
            ({"sort": "-email"}, True),
            ({"sort": "id"}, True),
            ({"sort": "created_at", "is_active": "true"}, True),
        ):
            answer = ask(client, person, **query)
            expected = [person.user] if sees_himself else []
            body = {"items": expected, "total": len(expected), "skip": 0, "limit": 10}
            assert (answer.json(), "link" in answer.headers) == (body, False), query
            assert ask(client, person, skip=1, **query).json()["items"] == []
        assert search(client, admin, q="user-")["total"] == 2
        # A cursor does not carry what its first owner saw.
        link = link_in(ask(client, admin, sort="email", limit=1))
        assert link is not None
        cursor = dict(parse_qsl(urlsplit(link).query))["cursor"]
        items = search(client, person, sort="email", cursor=cursor)["items"]
        assert items in ([], [person.user])
