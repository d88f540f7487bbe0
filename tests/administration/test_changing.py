"""PATCH and DELETE /users/{user_id} and DELETE …/sessions: what becomes of users, and who may do it (AD-4, TK-7)."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from ostiary.administration.authority import Administrator
from ostiary.administration.changing import Changes, change_as
from ostiary.audit.origin import OPERATOR
from ostiary.problems import Forbidden, Problem
from ostiary.roles.rights import RightsExceeded
from ostiary.users.listing import Scope
from ostiary.web.caller import Caller
from tests.administration.asking import holder, patch, recorded, state_of, superuser
from tests.conftest import MakeServer
from tests.login.inside import deactivate, demote
from tests.mails import mail_to, told
from tests.people import PASSWORD, Person, bearer, log_in, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused, at_once, works
from tests.sessions.beside import rows, write
from tests.users.asking import NOT_FOUND, detail_of

EXCEEDED = "rights_exceeded"


@pytest.fixture
def admin(server: Server, client: httpx.Client) -> Person:
    return superuser(server, client)


def test_what_is_named_changes_and_nothing_else(server: Server, client: httpx.Client, admin: Person) -> None:
    person = sign_up(client)
    username = f"Renamed-{person.id}"
    answer = patch(client, admin, person.id, username=username)
    assert (answer.status_code, answer.json()) == (200, person.user | {"username": username})
    answer = patch(client, admin, person.id, is_superuser=True, is_active=False)
    assert answer.json() == person.user | {"username": username, "is_superuser": True, "is_active": False}
    assert state_of(server, person.id) == (username, False, True)
    answer = patch(client, admin, person.id, is_superuser=False, is_active=True, username=username.lower())
    assert answer.json() == person.user | {"username": username.lower()}
    assert client.get(f"/users/{person.id}", headers=admin.auth).json() == answer.json()
    assert sorted(event for event, _ in recorded(server, person.id)) == [
        *("user_activated", "user_deactivated", "user_demoted", "user_promoted", "user_renamed", "user_renamed")
    ]
    assert {actor for _, actor in recorded(server, person.id)} == {admin.id}


@pytest.mark.any_engine
def test_who_is_kept_out_is_told_by_whom(server: Server, client: httpx.Client, admin: Person) -> None:
    person = sign_up(client)
    for _ in range(2):
        assert patch(client, admin, person.id, is_active=False).status_code == 200
    assert told(server.settings, person.email).count("account_deactivated") == 1
    assert admin.user["username"] in mail_to(server.settings, person.email, "account_deactivated").text


@pytest.mark.rule("SU-2")
def test_what_is_no_change_changes_nothing(server: Server, client: httpx.Client, admin: Person) -> None:
    """Neither an empty body, nor what it is already, nor members that nobody may set: a password least of all."""
    person = sign_up(client)
    same = {name: person.user[name] for name in ("username", "is_active", "is_superuser")}
    internal = {"id": 1, "password": "another-Thing-42", "created_at": "2020-01-01T00:00:00", "roles": ["r"]}
    for changes in ({}, same, internal):
        answer = patch(client, admin, person.id, **changes)
        assert (answer.status_code, answer.json()) == (200, person.user)
    assert recorded(server, person.id) == []
    log_in(client, person)


NO_USERNAMES: tuple[Any, ...] = (None, 1, True, [], {}, "", "ab", "a" * 65, "a b", "a@b", "é" * 5, "a\0b")
NO_FLAGS: tuple[Any, ...] = (None, 0, 1, "true", "", [], {})
BAD: tuple[Any, ...] = (
    *({"username": value} for value in NO_USERNAMES),
    *({name: value} for name in ("is_active", "is_superuser") for value in NO_FLAGS),
    *([], "text", None, 1),
)


@pytest.mark.any_engine
@pytest.mark.rule("SU-2", "IN-1")
def test_what_cannot_be_accepted_is_400(server: Server, client: httpx.Client, admin: Person) -> None:
    person = sign_up(client)
    for body in BAD:
        headers = {"Content-Type": "application/json", **admin.auth}
        answer = client.patch(f"/users/{person.id}", content=json.dumps(body), headers=headers)
        assert detail_of(answer, 400), body
    answer = patch(client, admin, person.id, is_active=False, username="!")
    assert detail_of(answer, 400)
    assert state_of(server, person.id) == (person.user["username"], True, False)
    for method, path in (("PATCH", ""), ("DELETE", ""), ("DELETE", "/sessions")):
        body = {"json": {}} if method == "PATCH" else {}
        answer = client.request(method, f"/users/x{path}", headers=admin.auth, **body)
        assert detail_of(answer, 400)


@pytest.mark.rule("SU-1")
def test_a_username_that_somebody_has_is_refused(server: Server, client: httpx.Client, admin: Person) -> None:
    person, other = sign_up(client), sign_up(client)
    answer = patch(client, admin, person.id, username=other.user["username"].upper(), is_active=False)
    assert detail_of(answer, 400, code="username_taken")
    assert state_of(server, person.id) == (person.user["username"], True, False)


@pytest.mark.rule("SU-1")
def test_of_many_who_are_given_one_name_at_once_one_gets_it(client: httpx.Client, admin: Person) -> None:
    people = [sign_up(client) for _ in range(4)]
    calls = [partial(patch, client, admin, person.id, username=f"wanted-{people[0].id}") for person in people]
    codes = sorted(answer.status_code for answer in at_once(calls))
    assert codes == [200, 400, 400, 400]


CALLS: tuple[tuple[str, Callable[[httpx.Client, Person, int], httpx.Response]], ...] = (
    ("users:write", lambda client, by, user_id: patch(client, by, user_id, is_active=False)),
    ("sessions:write", lambda client, by, user_id: client.delete(f"/users/{user_id}/sessions", headers=by.auth)),
    ("users:delete", lambda client, by, user_id: client.delete(f"/users/{user_id}", headers=by.auth)),
)


@pytest.mark.rule("AD-2", "AD-4")
@pytest.mark.parametrize(("permission", "call"), CALLS, ids=[permission for permission, _ in CALLS])
def test_nobody_acts_on_users_whose_rights_exceed_his_own(
    server: Server, client: httpx.Client, permission: str, call: Callable[[httpx.Client, Person, int], httpx.Response]
) -> None:
    others = [name for name, _ in CALLS if name != permission]
    assert detail_of(
        call(client, holder(server, client, *others, "users:read"), sign_up(client).id), 403, code="forbidden"
    )
    by = holder(server, client, permission, "users:read")
    more, equal = holder(server, client, permission, "audit:read"), holder(server, client, permission)
    for user_id in (superuser(server, client).id, more.id):
        before = state_of(server, user_id)
        assert detail_of(call(client, by, user_id), 403, code=EXCEEDED)
        assert state_of(server, user_id) == before
        assert recorded(server, user_id) == []
    assert works(client, more.access_token)
    for user_id in (equal.id, sign_up(client).id):
        assert call(client, by, user_id).status_code in {200, 204}
        assert [actor for _, actor in recorded(server, user_id)] == [by.id]


@pytest.mark.rule("AD-4")
def test_only_superusers_make_and_unmake_superusers(server: Server, client: httpx.Client, admin: Person) -> None:
    by, person = holder(server, client, "users:write", "users:read"), sign_up(client)
    for user_id in (person.id, by.id):
        assert detail_of(patch(client, by, user_id, is_superuser=True, username="x" * 9), 403, code=EXCEEDED)
    assert detail_of(patch(client, by, admin.id, is_superuser=False), 403, code=EXCEEDED)
    assert state_of(server, person.id) == (person.user["username"], True, False)
    assert patch(client, by, person.id, is_superuser=False, is_active=False).status_code == 200
    assert patch(client, admin, person.id, is_superuser=True).json()["is_superuser"] is True


@pytest.mark.rule("AD-3")
def test_who_is_not_to_be_seen_answers_like_nobody(make_server: MakeServer) -> None:
    server = make_server(directory_visibility="self")
    with server.client() as client:
        other = sign_up(client)
        by = holder(server, client, *(permission for permission, _ in CALLS))
        for _, call in CALLS:
            hidden, absent = call(client, by, other.id), call(client, by, 999_999_999)
            assert (hidden.status_code, hidden.json()) == (absent.status_code, absent.json()) == (404, NOT_FOUND)
        hidden, absent = (client.get(f"/users/{n}/sessions", headers=by.auth) for n in (other.id, 999_999_999))
        assert (hidden.status_code, hidden.json()) == (absent.status_code, absent.json()) == (404, NOT_FOUND)
        assert client.get(f"/users/{by.id}/sessions", headers=by.auth).json()["items"][0]["current"] is True
        assert state_of(server, other.id) == (other.user["username"], True, False)


@pytest.mark.rule("TK-6", "TK-7")
def test_deactivating_ends_everything_at_once_and_for_good(client: httpx.Client, admin: Person) -> None:
    person = signed_in(client)
    second = log_in(client, person)
    key = bearer(client.post("/api-keys", json={"name": "a key", "scopes": []}, headers=person.auth).json()["key"])
    assert client.get("/users/me", headers=key).status_code == 200
    assert patch(client, admin, person.id, is_active=False).status_code == 200
    for one in (person, second):
        assert not works(client, one.access_token)
        assert_refused(refresh(client, one.refresh_token))
    assert_refused(client.post("/auth/login", json={"email": person.email, "password": PASSWORD}))
    assert patch(client, admin, person.id, is_active=True).status_code == 200
    for one in (person, second):
        assert not works(client, one.access_token)
        assert_refused(refresh(client, one.refresh_token))
    assert_refused(client.get("/users/me", headers=key))
    assert works(client, log_in(client, person).access_token)


@pytest.mark.rule("TK-6", "TK-7")
def test_ending_sessions_leaves_the_user_as_he_is(server: Server, client: httpx.Client, admin: Person) -> None:
    person, other = signed_in(client), signed_in(client)
    second = log_in(client, person)
    seen = client.get(f"/users/{person.id}/sessions", headers=admin.auth).json()
    own = client.get("/sessions", headers=person.auth).json()
    assert seen == own | {"items": [session | {"current": False} for session in own["items"]]}
    assert seen["total"] == 2
    answer = client.delete(f"/users/{person.id}/sessions", headers=admin.auth)
    assert (answer.status_code, answer.content) == (204, b"")
    for one in (person, second):
        assert not works(client, one.access_token)
        assert_refused(refresh(client, one.refresh_token))
    assert works(client, other.access_token)
    assert works(client, log_in(client, person).access_token)
    assert recorded(server, person.id) == [("sessions_ended", admin.id)]
    page = client.get(f"/users/{person.id}/sessions?limit=1", headers=admin.auth).json()
    assert (len(page["items"]), page["total"], page["skip"], page["limit"]) == (1, 1, 0, 1)


@pytest.mark.rule("AD-6", "TK-7")
def test_a_deleted_user_is_gone_with_all_that_he_held(server: Server, client: httpx.Client, admin: Person) -> None:
    person = signed_in(client)
    answer = client.delete(f"/users/{person.id}", headers=admin.auth)
    assert (answer.status_code, answer.content) == (204, b"")
    assert_refused(client.get("/users", headers=bearer(person.access_token)))
    assert_refused(refresh(client, person.refresh_token))
    for table in ("sessions", "passwords"):
        assert rows(server.settings, f"SELECT 1 FROM {table} WHERE user_id = ?", person.id) == []
    for answer in (
        client.get(f"/users/{person.id}", headers=admin.auth),
        client.delete(f"/users/{person.id}", headers=admin.auth),
        patch(client, admin, person.id, is_active=True),
    ):
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    again = sign_up(client, email=person.email, username=person.user["username"])
    assert again.id > person.id
    assert recorded(server, person.id) == [("user_deleted", admin.id)]


@pytest.mark.rule("AD-4")
def test_the_last_active_superuser_stays_one(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        admin, inactive = superuser(server, client), superuser(server, client)
        assert patch(client, admin, inactive.id, is_active=False).status_code == 200
        for call in (
            partial(patch, client, admin, admin.id, is_active=False, username="another-name"),
            partial(patch, client, admin, admin.id, is_superuser=False),
            partial(client.delete, f"/users/{admin.id}", headers=admin.auth),
        ):
            assert detail_of(call(), 403, code="last_superuser")
            assert state_of(server, admin.id) == (admin.user["username"], True, True)
        assert works(client, admin.access_token)
        assert recorded(server, admin.id) == []
        assert patch(client, admin, inactive.id, is_active=True).status_code == 200
        assert patch(client, admin, admin.id, is_superuser=False).json()["is_superuser"] is False


@pytest.mark.rule("AD-4")
def test_superusers_who_remove_each_other_at_once_leave_one(make_server: MakeServer) -> None:
    """Whoever loses is told that he may not any more, is nobody any more, or that he is the last."""
    server = make_server()
    with server.client() as client:
        for _ in range(3):
            admins = [superuser(server, client) for _ in range(4)]
            calls = [
                partial(patch, client, admins[0], admins[1].id, is_superuser=False),
                partial(patch, client, admins[1], admins[2].id, is_active=False),
                partial(client.delete, f"/users/{admins[3].id}", headers=admins[2].auth),
                partial(patch, client, admins[3], admins[0].id, is_superuser=False),
                *(partial(patch, client, admin, admin.id, is_superuser=False) for admin in admins),
            ]
            codes = [answer.status_code for answer in at_once(calls)]
            assert set(codes) <= {200, 204, 401, 403, 404}
            left = rows(server.settings, "SELECT id FROM users WHERE is_superuser AND is_active")
            assert left, codes


@pytest.mark.rule("AD-4", "D1")
def test_rights_are_those_of_the_moment_of_the_act(server: Server, client: httpx.Client) -> None:
    """Somebody who was recognised as a superuser a moment ago may be none by now, or nobody."""
    person = sign_up(client)

    def act(by: Person) -> type[Problem] | None:
        administrator = Administrator(Caller(by.id, "session", is_superuser=True), Scope())
        try:
            write(
                server.settings,
                change_as,
                server.app,
                person.id,
                Changes(is_superuser=True),
                by=administrator,
                origin=OPERATOR,
                now=server.clock.now(),
            )
        except Problem as problem:
            return type(problem)
        return None

    demoted, deactivated, holding = superuser(server, client), superuser(server, client), superuser(server, client)
    demote(server, demoted)
    deactivate(server, deactivated)
    holding = holder(server, client, "users:write")
    assert [act(by) for by in (demoted, deactivated, holding)] == [Forbidden, Forbidden, RightsExceeded]
    assert state_of(server, person.id) == (person.user["username"], True, False)
    assert act(superuser(server, client)) is None
