"""/users/me and /users/me/profile: what a user reads and changes of his own account."""

import json
from functools import partial
from typing import Any

import httpx
import pytest

from ostiary.users.profiles import language_of, mark_verified, profile_of
from tests.people import Person, bearer, log_in, newcomer, sign_up, signed_in
from tests.roles.planted import plant_holder, plant_role
from tests.server import Server
from tests.sessions.answers import assert_refused, at_once
from tests.sessions.beside import rows, write
from tests.users.asking import MEMBERS, detail_of

PROFILE = ["user", "email_verified", "last_login_at", "mfa_enabled", "roles", "language", "metadata"]


def profile(client: httpx.Client, person: Person) -> dict[str, Any]:
    answer = client.get("/users/me/profile", headers=person.auth)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def change(client: httpx.Client, person: Person, path: str = "/users/me/profile", **members: Any) -> httpx.Response:
    return client.patch(path, headers=person.auth, json=members)


def test_me_is_the_caller_as_the_contract_shows_him(client: httpx.Client) -> None:
    person, _ = signed_in(client), signed_in(client)
    answer = client.get("/users/me", headers=person.auth)
    assert (answer.status_code, answer.json(), list(answer.json())) == (200, person.user, MEMBERS)
    assert client.head("/users/me", headers=person.auth).headers["content-length"] == str(len(answer.content))
    assert client.get(f"/users/{person.id}", headers=person.auth).content == answer.content


@pytest.mark.any_engine
def test_me_is_no_user_id_in_any_other_spelling(client: httpx.Client) -> None:
    person = signed_in(client)
    for other in ("Me", "ME", "me%20", "mé"):
        assert client.get(f"/users/{other}", headers=person.auth).status_code == 400
    assert client.get("/users/me/", headers=person.auth).status_code == 404


@pytest.mark.rule("AD-5")
def test_a_new_profile_holds_what_is_known(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    assert write(server.settings, profile_of, person.id).last_login_at is None
    person = log_in(client, person)
    shown = profile(client, person)
    assert list(shown) == PROFILE
    assert shown == {
        "user": person.user,
        "email_verified": False,
        "last_login_at": server.clock.now().isoformat()[:19],
        "mfa_enabled": False,
        "roles": [],
        "language": None,
        "metadata": {},
    }


def test_a_profile_names_the_roles(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    for name in ("support", "auditor"):
        plant_role(server, name, "users:read")
        plant_holder(server, person.id, name)
    assert profile(client, person)["roles"] == ["auditor", "support"]
    assert change(client, person, language="en").json()["roles"] == ["auditor", "support"]


def test_the_address_is_proven_once(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    for day in (1, 2):
        write(server.settings, mark_verified, person.id, now=server.clock.now().replace(day=day))
    assert profile(client, person)["email_verified"] is True
    found = write(server.settings, profile_of, person.id).email_verified_at
    assert found is not None
    assert found.day == 1
    assert client.get("/users/me", headers=person.auth).json() == person.user


def test_language_and_metadata_change_each_by_itself(server: Server, client: httpx.Client) -> None:
    person, other = signed_in(client), signed_in(client)
    metadata = {"theme": "dark", "größe": [1, 2.5, None, True, {"tief": "ß"}], "": '\\"\u2028'}
    assert change(client, person, language="de-AT").json()["language"] == "de-AT"
    answer = change(client, person, metadata=metadata)
    assert answer.json() == profile(client, person)
    assert (answer.json()["language"], answer.json()["metadata"]) == ("de-AT", metadata)
    assert write(server.settings, language_of, person.id) == "de-AT"
    assert change(client, person, metadata={"only": "this"}).json()["metadata"] == {"only": "this"}
    assert change(client, person, language=None).json()["language"] is None
    assert change(client, person).json()["metadata"] == {"only": "this"}
    assert change(client, person, language="pt", metadata={}).json()["metadata"] == {}
    assert profile(client, other)["language"] is None
    assert rows(server.settings, "SELECT user_id FROM profiles WHERE user_id = ?", other.id) == []


@pytest.mark.any_engine
@pytest.mark.rule("SU-2", "IN-2")
@pytest.mark.parametrize(
    "members",
    [
        {"language": ""},
        {"language": "d"},
        {"language": "de_AT"},
        {"language": "de-"},
        {"language": "de-AT-toolongpart"},
        {"language": "de\n"},
        {"language": "dé"},
        {"language": "aa" + "-b" * 17},
        {"language": 1},
        {"language": ["de"]},
        {"metadata": None},
        {"metadata": []},
        {"metadata": "{}"},
        {"metadata": {"a": "x" * 16 * 1024}},
        {"metadata": {"a": "\ud800"}},
        {"metadata": {"\ud800": 1}},
        {"metadata": {"a": "\0"}},
        {"metadata": {str(number): 1 for number in range(200)}},
        {"language": "de", "metadata": 1},
    ],
    ids=str,
)
def test_what_does_not_fit_a_profile_changes_nothing(client: httpx.Client, members: dict[str, Any]) -> None:
    person = signed_in(client)
    change(client, person, language="en", metadata={"kept": 1})
    headers = person.auth | {"Content-Type": "application/json"}
    answer = client.patch("/users/me/profile", headers=headers, content=json.dumps(members))
    detail_of(answer, 400)
    assert profile(client, person)["metadata"] == {"kept": 1}
    assert profile(client, person)["language"] == "en"


@pytest.mark.any_engine
def test_metadata_takes_sixteen_kibibytes_as_they_are_stored(client: httpx.Client) -> None:
    person = signed_in(client)
    fits = {"a": "ß" * ((16 * 1024 - len('{"a":""}')) // 2)}
    assert change(client, person, metadata=fits).json()["metadata"] == fits
    detail_of(change(client, person, metadata={"a": fits["a"] + "x"}), 400)


@pytest.mark.rule("SU-2")
def test_nothing_but_what_is_named_can_be_changed(client: httpx.Client) -> None:
    person = signed_in(client)
    forced: dict[str, Any] = {
        "id": 1,
        "is_superuser": True,
        "is_active": False,
        "email": "other@example.com",
        "email_verified": True,
        "email_verified_at": 1,
        "roles": ["admin"],
        "user": {"is_superuser": True},
        "user_id": 1,
        "created_at": "2000-01-01T00:00:00",
        "last_login_at": None,
    }
    before = profile(client, person)
    assert change(client, person, **forced).json() == before
    name = newcomer()["username"]
    answer = change(client, person, "/users/me", username=name, **forced)
    assert answer.json() == person.user | {"username": name}
    assert profile(client, person) == before | {"user": answer.json()}


def test_a_username_changes_for_one_that_is_free(client: httpx.Client) -> None:
    person, other = signed_in(client), signed_in(client)
    name = person.user["username"]
    taken = detail_of(
        change(client, person, "/users/me", username=other.user["username"].upper()), 400, code="username_taken"
    )
    assert other.user["username"] not in taken
    assert change(client, person, "/users/me", username=name.upper()).json()["username"] == name.upper()
    new = newcomer()["username"]
    assert change(client, person, "/users/me", username=new).json()["username"] == new
    assert change(client, other, "/users/me", username=name).json()["username"] == name
    assert log_in(client, person).access_token


@pytest.mark.any_engine
@pytest.mark.rule("SU-2")
@pytest.mark.parametrize(
    "members", [{}, {"username": None}, {"username": ["abc"]}, {"username": "ab"}, {"username": "a@b"}]
)
def test_a_username_that_cannot_be_is_refused(client: httpx.Client, members: dict[str, Any]) -> None:
    person = signed_in(client)
    detail_of(change(client, person, "/users/me", **members), 400)
    assert client.get("/users/me", headers=person.auth).json() == person.user


@pytest.mark.rule("SU-1")
def test_of_many_who_want_one_username_at_once_one_gets_it(client: httpx.Client) -> None:
    people = [signed_in(client) for _ in range(6)]
    wanted = newcomer()
    calls = [partial(change, client, person, "/users/me", username=wanted["username"]) for person in people]
    answers = at_once([*calls, partial(client.post, "/users", json=wanted)])
    won = [answer for answer in answers if answer.status_code in {200, 201}]
    assert len(won) == 1
    assert {answer.json()["code"] for answer in answers if answer is not won[0]} == {"username_taken"}


@pytest.mark.any_engine
@pytest.mark.parametrize("path", ["/users/me", "/users/me/profile"])
def test_nobody_is_me_without_a_live_token(client: httpx.Client, path: str) -> None:
    person = signed_in(client)
    assert_refused(client.get(path))
    assert_refused(client.get(path, headers=bearer(person.refresh_token)))
    client.post("/auth/logout", headers=person.auth)
    assert_refused(client.get(path, headers=person.auth))
    assert_refused(client.patch(path, headers=person.auth, json={}))
