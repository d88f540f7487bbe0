"""Making, reading, changing and deleting roles through the API."""

from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from ostiary.roles.definitions import MAX_ROLES
from ostiary.roles.models import roles
from ostiary.web.permissions import PERMISSIONS
from tests.audit.inside import Recorded
from tests.people import Person, signed_in
from tests.roles.acting import (
    EXCEEDED,
    NOT_FOUND,
    change,
    give,
    holder,
    make,
    names_of,
    recorded_of,
    remove,
    sorted_by_words,
    superuser,
    take,
)
from tests.roles.planted import plant_role, plant_roles
from tests.server import Server
from tests.sessions.beside import rows, write


@pytest.fixture(scope="module")
def root(server: Server) -> Person:
    with server.client() as client:
        return superuser(server, client)


def test_a_role_from_its_making_to_its_end(server: Server, client: httpx.Client, root: Person) -> None:
    made = make(client, root, "support", "sessions:write", "users:read", "users:read", description="Answers — üäö")
    given = ["users:read", "sessions:write"]
    role: dict[str, Any] = {"name": "support", "description": "Answers — üäö", "permissions": given}
    assert (made.status_code, made.json(), list(made.json())) == (201, role, list(role))
    assert client.get("/roles/support", headers=root.auth).json() == role

    role["permissions"] = ["users:read", "users:write"]
    wanted = {"permissions": ["users:write", "users:read"], "name": "another", "id": 7}
    changed = client.patch("/roles/support", json=wanted, headers=root.auth)
    assert (changed.status_code, changed.json()) == (200, role)
    role["description"] = ""
    assert change(client, root, "support", description="").json() == role
    for same in ({}, {"description": ""}, {"permissions": role["permissions"]}):
        assert change(client, root, "support", **same).json() == role
    assert client.get("/roles/support", headers=root.auth).json() == role
    assert client.get("/roles/another", headers=root.auth).json() == NOT_FOUND

    gone = remove(client, root, "support")
    assert (gone.status_code, gone.content) == (204, b"")
    for answer in (
        client.get("/roles/support", headers=root.auth),
        change(client, root, "support", description="x"),
        remove(client, root, "support"),
    ):
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    about = "support"
    assert recorded_of(server, about) == sorted_by_words(
        Recorded("role_created", root.id, None, {"role": about, "permissions": ["users:read", "sessions:write"]}),
        Recorded(
            "role_changed", root.id, None, {"role": about, "added": ["users:write"], "removed": ["sessions:write"]}
        ),
        Recorded("role_changed", root.id, None, {"role": about, "added": [], "removed": []}),
        Recorded("role_deleted", root.id, None, {"role": about, "permissions": ["users:read", "users:write"]}),
    )


def test_a_name_is_given_once(server: Server, client: httpx.Client, root: Person) -> None:
    assert make(client, root, "once", "users:read").status_code == 201
    again = make(client, root, "once", description="Another")
    assert (again.status_code, again.json()["code"]) == (400, "role_exists")
    assert client.get("/roles/once", headers=root.auth).json()["permissions"] == ["users:read"]
    assert recorded_of(server, "once") == [
        Recorded("role_created", root.id, None, {"role": "once", "permissions": ["users:read"]})
    ]


@pytest.mark.rule("AD-4", "AD-6")
def test_a_role_in_use_stays(client: httpx.Client, root: Person) -> None:
    person = signed_in(client)
    make(client, root, "used", "users:read")
    give(client, root, person.id, "used")
    refused = remove(client, root, "used")
    assert (refused.status_code, refused.json()["code"]) == (403, "role_in_use")
    assert names_of(client, root, person.id) == ["used"]
    take(client, root, person.id, "used")
    assert remove(client, root, "used").status_code == 204


def test_roles_are_listed_by_name_page_by_page(server: Server, client: httpx.Client, root: Person) -> None:
    plant_roles(server, ["z-last", "a_b", "a-b", "ab"])
    names = sorted(name for (name,) in rows(server.settings, "SELECT name FROM roles"))
    listed: list[str] = []
    while True:
        answer = client.get(f"/roles?skip={len(listed)}&limit=3", headers=root.auth)
        body = answer.json()
        assert list(body) == ["items", "total", "skip", "limit"]
        assert (body["total"], body["skip"], body["limit"]) == (len(names), len(listed), 3)
        if not body["items"]:
            break
        listed += [role["name"] for role in body["items"]]
    assert listed == names
    assert client.get("/roles", headers=root.auth).json()["limit"] == 10


@pytest.mark.any_engine
@pytest.mark.rule("IN-2")
@pytest.mark.parametrize("query", ["skip=-1", "skip=x", "limit=0", "limit=101", "limit=", "skip=1&skip=1"])
def test_bad_pages_are_refused(client: httpx.Client, root: Person, query: str) -> None:
    for path in ("/roles", f"/users/{root.id}/roles", "/users/999999/roles"):
        assert client.get(f"{path}?{query}", headers=root.auth).status_code == 400


NO_LINES: list[Any] = [None, 1, "a\nb", "\u202e", "x" * 201]
NO_LISTS: list[Any] = [None, "users:read", {"users:read": 1}, [1], [None], [[]]]
BAD_ROLES: list[dict[str, Any]] = [
    {},
    {"name": "role"},
    {"permissions": []},
    *(
        {"name": name, "permissions": []}
        for name in ("", "A", "1", "-a", "_a", "a b", "a.b", "a:b", "ä", "a\n", "a" * 65)
    ),
    *({"name": name, "permissions": []} for name in (None, 1, True, ["role"], {"role": 1})),
    *({"name": "role", "permissions": given} for given in NO_LISTS),
    *({"name": "role", "permissions": [given]} for given in ("", "users", "users:*", "*", "USERS:READ", "users:read ")),
    {"name": "role", "permissions": ["users:read"] * 9},
    *({"name": "role", "permissions": [], "description": given} for given in NO_LINES),
]


@pytest.mark.any_engine
@pytest.mark.rule("SU-2", "D3")
@pytest.mark.parametrize("body", BAD_ROLES, ids=repr)
def test_bad_roles_are_refused(server: Server, client: httpx.Client, root: Person, body: dict[str, Any]) -> None:
    answer = client.post("/roles", json=body, headers=root.auth)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"detail"}
    assert rows(server.settings, "SELECT count(*) FROM roles WHERE name = 'role'") == [(0,)]


@pytest.mark.any_engine
@pytest.mark.rule("D3")
def test_bad_changes_are_refused(server: Server, client: httpx.Client, root: Person) -> None:
    plant_role(server, "steady", "users:read")
    for body in BAD_ROLES:
        given = {name: value for name, value in body.items() if name != "name"}
        if given not in ({}, {"permissions": []}):
            assert change(client, root, "steady", **given).status_code == 400, given
    assert client.get("/roles/steady", headers=root.auth).json()["permissions"] == ["users:read"]


@pytest.mark.any_engine
@pytest.mark.parametrize("name", ["A", "a%20b", "%00", "a%00", "%ff", "a%0a", "x" * 65, "%F0%9F%98%80", "..%2f"])
def test_what_cannot_be_a_name_names_nothing(client: httpx.Client, root: Person, name: str) -> None:
    for path in (f"/roles/{name}", f"/users/{root.id}/roles/{name}"):
        for method in ("GET", "PATCH", "DELETE", "PUT"):
            answer = client.request(method, path, json={}, headers=root.auth)
            assert answer.status_code in {404, 405}, answer.text
            if answer.status_code == 404:
                assert answer.json() == NOT_FOUND


@pytest.mark.any_engine
def test_the_largest_role_is_taken(client: httpx.Client, root: Person) -> None:
    made = make(client, root, "z" * 64, *PERMISSIONS, description="ü" * 200)
    assert made.status_code == 201
    assert made.json()["permissions"] == list(PERMISSIONS)
    assert remove(client, root, "z" * 64).status_code == 204


@pytest.mark.any_engine
@pytest.mark.rule("AD-4")
def test_a_role_holds_no_more_than_its_maker(server: Server, client: httpx.Client, root: Person) -> None:
    person = holder(server, client, "roles:write", "users:read")
    assert make(client, person, "own", "users:read", "roles:write").status_code == 201
    for beyond in (["users:write"], ["users:read", "audit:read"], PERMISSIONS):
        refused = make(client, person, "beyond", *beyond)
        assert (refused.status_code, refused.json()) == (403, EXCEEDED)
    assert client.get("/roles/beyond", headers=root.auth).status_code == 404


@pytest.mark.any_engine
def test_there_are_only_so_many_roles(server: Server, client: httpx.Client, root: Person) -> None:
    [(count,)] = rows(server.settings, "SELECT count(*) FROM roles")
    names = [f"many-{number}" for number in range(MAX_ROLES - count)]
    plant_roles(server, names)
    refused = make(client, root, "too-many")
    assert (refused.status_code, refused.json()["code"]) == (403, "too_many_roles")
    write(server.settings, lambda connection: connection.execute(delete(roles).where(roles.c.name.in_(names))))
    assert make(client, root, "not-too-many").status_code == 201
