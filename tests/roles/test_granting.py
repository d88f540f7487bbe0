"""Giving and taking roles through the API; nobody confers what he does not hold."""

import httpx
import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.login.deactivation import deactivate_user
from ostiary.roles.granting import MAX_NAMES_LENGTH, MAX_ROLES_PER_USER
from ostiary.users.accounts import delete_user, set_active
from tests.audit.inside import Recorded
from tests.conftest import MakeServer
from tests.mails import mail_to, told
from tests.people import Person, sign_up, signed_in
from tests.roles.acting import (
    EXCEEDED,
    FORBIDDEN,
    NOT_FOUND,
    change,
    give,
    holder,
    make,
    names_of,
    recorded_of,
    remove,
    superuser,
    take,
)
from tests.roles.planted import plant_holder, plant_role, plant_roles
from tests.server import Server
from tests.sessions.beside import rows, write


@pytest.fixture(scope="module")
def root(server: Server) -> Person:
    with server.client() as client:
        return superuser(server, client)


def test_a_role_is_given_once_and_taken_once(server: Server, client: httpx.Client, root: Person) -> None:
    person = signed_in(client)
    make(client, root, "reader", "users:read")
    given = [give(client, root, person.id, "reader") for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in given] == [(204, b"")] * 2
    body = client.get(f"/users/{person.id}/roles", headers=root.auth).json()
    role = {"name": "reader", "description": "", "permissions": ["users:read"]}
    assert body == {"items": [role], "total": 1, "skip": 0, "limit": 10}
    assert take(client, root, person.id, "reader").status_code == 204
    again = take(client, root, person.id, "reader")
    assert (again.status_code, again.json()) == (404, NOT_FOUND)
    assert names_of(client, root, person.id) == []
    assert recorded_of(server, "reader", about=person.id) == [
        Recorded(event, root.id, person.id, {"role": "reader"}) for event in ("role_granted", "role_revoked")
    ]


@pytest.mark.rule("AD-2", "AD-4")
def test_a_role_counts_at_once_and_ends_at_once(client: httpx.Client, root: Person) -> None:
    person = signed_in(client)
    make(client, root, "granter", "roles:write")
    assert client.get("/roles", headers=person.auth).json() == FORBIDDEN
    give(client, root, person.id, "granter")
    assert client.get("/roles", headers=person.auth).status_code == 200
    change(client, root, "granter", permissions=["users:read"])
    assert client.get("/roles", headers=person.auth).json() == FORBIDDEN
    change(client, root, "granter", permissions=["roles:write", "users:read"])
    assert client.get("/roles", headers=person.auth).status_code == 200
    take(client, root, person.id, "granter")
    assert client.get("/roles", headers=person.auth).json() == FORBIDDEN


@pytest.mark.any_engine
def test_whom_or_what_nobody_knows_is_not_found(server: Server, client: httpx.Client, root: Person) -> None:
    plant_role(server, "known")
    gone = sign_up(client)
    write(server.settings, delete_user, gone.id, origin=OPERATOR, now=server.clock.now())
    for user_id in (gone.id, 0, -1, 10**12, 2**63, 10**30):
        for answer in (give(client, root, user_id, "known"), take(client, root, user_id, "known")):
            assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
        assert client.get(f"/users/{user_id}/roles", headers=root.auth).status_code == 404
    assert give(client, root, root.id, "unknown").json() == NOT_FOUND
    assert take(client, root, root.id, "unknown").json() == NOT_FOUND
    for text in ("x", "1.0", "%31x", "1e3"):
        assert client.put(f"/users/{text}/roles/known", headers=root.auth).status_code == 400


def test_deleting_a_user_takes_his_roles_along(server: Server, client: httpx.Client, root: Person) -> None:
    person = sign_up(client)
    make(client, root, "short-lived")
    give(client, root, person.id, "short-lived")
    write(server.settings, delete_user, person.id, origin=OPERATOR, now=server.clock.now())
    assert rows(server.settings, "SELECT count(*) FROM user_roles WHERE user_id = ?", person.id) == [(0,)]
    assert remove(client, root, "short-lived").status_code == 204


@pytest.mark.rule("AD-4")
def test_nobody_confers_what_he_does_not_hold(server: Server, client: httpx.Client, root: Person) -> None:
    """By giving a role, by changing one that somebody has, and not to himself either."""
    person, other = holder(server, client, "roles:write", "users:read"), signed_in(client)
    own = f"of-{person.id}"
    make(client, root, "less", "users:read")
    make(client, root, "more", "users:read", "users:delete")
    give(client, root, other.id, "less")
    for refused in (
        give(client, person, other.id, "more"),
        give(client, person, person.id, "more"),
        change(client, person, "less", permissions=["users:delete"]),
        change(client, person, own, permissions=["roles:write", "users:read", "users:delete"]),
        change(client, person, "more", permissions=["users:read"]),  # also not to make it fit
        change(client, person, "more", description="Harmless"),
        remove(client, person, "more"),
    ):
        assert (refused.status_code, refused.json()) == (403, EXCEEDED)
    assert names_of(client, root, other.id) == ["less"]
    assert give(client, person, other.id, own).status_code == 204
    assert change(client, person, "less", permissions=["roles:write"]).status_code == 200


@pytest.mark.rule("AD-4")
def test_nobody_writes_to_a_user_who_may_do_more(server: Server, client: httpx.Client, root: Person) -> None:
    """Not by giving, not by taking, and not by changing a role that such a user has."""
    person, stronger = holder(server, client, "roles:write", "users:read"), signed_in(client)
    make(client, root, "plain", "users:read")
    make(client, root, "strong", "audit:read")
    for name in ("plain", "strong"):
        give(client, root, stronger.id, name)
    give(client, root, root.id, "plain")
    make(client, root, "fresh")
    for refused in (
        give(client, person, stronger.id, "fresh"),
        take(client, person, stronger.id, "plain"),
        take(client, person, stronger.id, "strong"),
        give(client, person, root.id, "fresh"),
        take(client, person, root.id, "plain"),
        change(client, person, "plain", permissions=[]),
    ):
        assert (refused.status_code, refused.json()) == (403, EXCEEDED)
    take(client, root, root.id, "plain")
    assert change(client, person, "plain", permissions=[]).json() == EXCEEDED
    assert change(client, person, "plain", description="Says nothing of rights").status_code == 200
    assert names_of(client, root, stronger.id) == ["plain", "strong"]
    take(client, root, stronger.id, "strong")
    assert change(client, person, "plain", permissions=[]).status_code == 200
    assert take(client, person, stronger.id, "plain").status_code == 204


@pytest.mark.any_engine
@pytest.mark.rule("AD-4")
def test_a_deactivated_user_is_as_strong_as_he_would_be(server: Server, client: httpx.Client, root: Person) -> None:
    person, sleeping = holder(server, client, "roles:write"), superuser(server, client)
    plant_role(server, "waiting")
    now = server.clock.now()
    write(server.settings, deactivate_user, sleeping.id, origin=OPERATOR, now=now)
    assert give(client, person, sleeping.id, "waiting").json() == EXCEEDED
    assert give(client, root, sleeping.id, "waiting").status_code == 204
    write(server.settings, set_active, sleeping.id, is_active=True, origin=OPERATOR, now=now)
    assert names_of(client, root, sleeping.id) == ["waiting"]


@pytest.mark.any_engine
@pytest.mark.rule("AD-4", "TK-1")
def test_a_user_has_only_so_many_roles(server: Server, client: httpx.Client, root: Person) -> None:
    many, long = sign_up(client), sign_up(client)
    plant_roles(server, [f"n{number}" for number in range(MAX_ROLES_PER_USER + 1)])
    plant_roles(server, [f"l{number}".ljust(64, "-") for number in range(MAX_ROLES_PER_USER + 1)])
    plant_holder(server, many.id, *(f"n{number}" for number in range(MAX_ROLES_PER_USER - 1)))
    plant_holder(server, long.id, *(f"l{number}".ljust(64, "-") for number in range(MAX_NAMES_LENGTH // 64 - 1)))
    assert give(client, root, many.id, f"n{MAX_ROLES_PER_USER}").status_code == 204
    assert give(client, root, long.id, f"l{MAX_ROLES_PER_USER}".ljust(64, "-")).status_code == 204
    assert give(client, root, many.id, "n0").status_code == 204  # he has it
    for person in (many, long):
        refused = give(client, root, person.id, f"n{MAX_ROLES_PER_USER - 1}")
        assert (refused.status_code, refused.json()["code"]) == (403, "too_many_roles_of_user")
    assert len(names_of(client, root, many.id)) == MAX_ROLES_PER_USER


@pytest.mark.rule("AD-3")
def test_whom_one_does_not_see_one_gives_nothing(make_server: MakeServer) -> None:
    server = make_server(directory_visibility="self")
    with server.client() as client:
        blind, seeing = holder(server, client, "roles:write"), holder(server, client, "roles:write", "users:read")
        person = sign_up(client)
        plant_role(server, "plain")
        for user_id in (person.id, 10**9):
            for answer in (
                give(client, blind, user_id, "plain"),
                take(client, blind, user_id, "plain"),
                client.get(f"/users/{user_id}/roles", headers=blind.auth),
            ):
                assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
        assert give(client, blind, blind.id, "plain").status_code == 204
        assert give(client, seeing, person.id, "plain").status_code == 204
        assert names_of(client, seeing, person.id) == ["plain"]


@pytest.mark.rule("MF-4")
@pytest.mark.any_engine
def test_a_user_is_told_which_roles_he_has_and_by_whom(server: Server, client: httpx.Client, root: Person) -> None:
    person = signed_in(client)
    make(client, root, "told", "users:read")
    for _ in range(2):
        assert give(client, root, person.id, "told").status_code == 204
    assert told(server.settings, person.email).count("roles_changed") == 1
    given = mail_to(server.settings, person.email, "roles_changed").text
    assert "told" in given
    assert root.user["username"] in given
    assert take(client, root, person.id, "told").status_code == 204
    assert told(server.settings, person.email).count("roles_changed") == 2
    taken = mail_to(server.settings, person.email, "roles_changed", number=2).text
    assert "told" not in taken
