"""POST /auth/login: what it gives, and that no failure can be told from another, through HTTP."""

import json
import secrets
from typing import Any

import argon2
import httpx
import pytest

from ostiary.context import App
from ostiary.crypto.passwords import StoredPassword
from ostiary.problems import Unavailable
from tests.conftest import MakeServer
from tests.login.inside import deactivate, remove_password, store_hash, stored_hash
from tests.people import PASSWORD, log_in, sign_up, signed_in
from tests.server import Server

JSON = {"Content-Type": "application/json"}
BAD_CREDENTIALS = {"detail": "Invalid authentication credentials"}
CHANGING_HEADERS = {"date", "x-request-id"}


def login(client: httpx.Client, email: object, password: object) -> httpx.Response:
    return client.post("/auth/login", content=json.dumps({"email": email, "password": password}), headers=JSON)


def fingerprint(answer: httpx.Response) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """All that a caller can see of an answer: status, body, and headers in their order, but for date and id."""
    headers = [(name, value) for name, value in answer.headers.raw if name.decode().lower() not in CHANGING_HEADERS]
    return answer.status_code, answer.content, headers


def test_a_login_answers_exactly_two_tokens_and_their_type(client: httpx.Client) -> None:
    person = sign_up(client)
    answer = login(client, person.email, person.password)
    assert answer.status_code == 200
    assert list(answer.json()) == ["access_token", "refresh_token", "token_type"]
    assert answer.json()["token_type"] == "bearer"
    assert answer.headers["content-type"] == "application/json"
    for name in ("access_token", "refresh_token"):
        assert answer.json()[name].startswith("eyJ0eXAiOiJKV1QiLCJhbGc")
        assert answer.json()[name].count(".") == 2


def test_each_login_begins_a_session_of_its_own(client: httpx.Client) -> None:
    first = signed_in(client)
    second = log_in(client, first)
    assert len({first.access_token, first.refresh_token, second.access_token, second.refresh_token}) == 4
    assert client.get(f"/users/{first.id}", headers=first.auth).status_code == 200
    assert client.get(f"/users/{first.id}", headers=second.auth).status_code == 200


@pytest.mark.rule("SU-1")
def test_every_spelling_of_an_address_logs_in(client: httpx.Client) -> None:
    tag = sign_up(client).user["username"]
    sign_up(client, email=f"Zoe.{tag}@Bücher.example")
    for domain in (
        "bücher.example",
        "BÜCHER.example",
        "xn--bcher-kva.example",
        "XN--BCHER-KVA.EXAMPLE",
        "\uff42ücher.example",
    ):
        assert login(client, f"zOE.{tag}@{domain}", PASSWORD).status_code == 200


@pytest.mark.rule("PW-1", "PW-2")
@pytest.mark.parametrize(
    "password",
    [
        "  two spaces around everything  ",
        "пароль-корова-баттерейка",
        "\u0065\u0301clair-au-chocolat-noir",
        "battery\tstaple\nhorse\x7f\x01",
        "🐎" * 3 + "🔋 staple correct",
        secrets.token_urlsafe(192),
        "".join(chr(0x20000 + secrets.randbelow(40_000)) for _ in range(255)) + "q",
    ],
    ids=[
        "spaces",
        "Cyrillic",
        "decomposed",
        "controls",
        "beyond the BMP",
        "256 letters",
        "256 code points, 1,021 bytes",
    ],
)
def test_a_password_logs_in_as_it_was_typed_and_in_no_other_form(client: httpx.Client, password: str) -> None:
    person = sign_up(client, password=password)
    assert login(client, person.email, password).status_code == 200
    for other in (f" {password}", f"{password} ", password.strip(), password.upper(), password[:-1]):
        if other != password:
            assert login(client, person.email, other).json() == BAD_CREDENTIALS


@pytest.mark.rule("PW-2")
def test_forms_of_unicode_are_different_passwords(client: httpx.Client) -> None:
    person = sign_up(client, password="e\u0301clair-au-chocolat")
    assert login(client, person.email, "\u00e9clair-au-chocolat").status_code == 401
    assert login(client, person.email, "e\u0301clair-au-chocolat").status_code == 200


STRANGE = {
    "wrong password": {"password": "wrong-horse-Battery-9"},
    "right password in capitals": {"password": PASSWORD.upper()},
    "empty password": {"password": ""},
    "password over 256 code points": {"password": "kX9#" * 64 + "x"},
    "password of 10,000 bytes": {"password": "x" * 10_000},
    "password with half a surrogate pair": {"password": PASSWORD + "\ud800"},
    "password that is refused at sign-up": {"password": "password123"},
    "unknown address": {"email": "nobody-has-this@example.com"},
    "no address": {"email": "nobody"},
    "empty address": {"email": ""},
    "address with a line feed": {"email": "a@example.com\nb"},
    "address with half a surrogate pair": {"email": "a\udfff@example.com"},
    "address of 10,000 characters": {"email": "x" * 10_000 + "@example.com"},
    "address in a group": {"email": "All: a@example.com;"},
    "address as the key of garbage": {"email": "none:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    "username in place of the address": {},
}


@pytest.mark.rule("LG-1", "D3")
def test_no_failure_can_be_told_from_another(server: Server, client: httpx.Client) -> None:
    person, gone = sign_up(client), sign_up(client)
    deactivate(server, gone)
    base = fingerprint(login(client, person.email, "wrong-horse-Battery-9"))
    assert base[0] == 401
    assert json.loads(base[1]) == BAD_CREDENTIALS
    assert (b"www-authenticate", b"Bearer") in base[2]
    for kind, members in STRANGE.items():
        sent: dict[str, Any] = {"email": person.email, "password": PASSWORD} | members
        if kind.startswith("username"):
            sent["email"] = person.user["username"]
        assert fingerprint(login(client, sent["email"], sent["password"])) == base, kind
        log_in(client, person)  # so that no number of failures blocks
    for password in (PASSWORD, "wrong-horse-Battery-9"):
        assert fingerprint(login(client, gone.email, password)) == base, "deactivated"


@pytest.mark.rule("LG-1")
def test_a_throttled_failure_looks_like_any_other(client: httpx.Client) -> None:
    person = sign_up(client)
    answers = [fingerprint(login(client, person.email, "wrong-horse-Battery-9")) for _ in range(10)]
    answers.append(fingerprint(login(client, person.email, PASSWORD)))
    answers += [fingerprint(login(client, "x-" + person.email, PASSWORD)) for _ in range(12)]
    assert len(set(map(repr, answers))) == 1
    assert answers[0][0] == 401


@pytest.mark.rule("LG-1")
def test_an_account_without_a_password_fails_like_any_other(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    base = fingerprint(login(client, person.email, "wrong-horse-Battery-9"))
    remove_password(server, person)
    for password in (PASSWORD, "", "None", "null"):
        assert fingerprint(login(client, person.email, password)) == base


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b"nothing", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'"email"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"{}", "email: is required; password: is required"),
        (b'{"email":"a@example.com"}', "password: is required"),
        (b'{"password":"x"}', "email: is required"),
        (b'{"Email":"a@example.com","Password":"x"}', "email: is required"),
        (b'{"email":7,"password":"x"}', "email: a string is required"),
        (b'{"email":"a@example.com","password":null}', "password: a string is required"),
        (b'{"email":["a@example.com"],"password":"x"}', "email: a string is required"),
        (b'{"email":{"$gt":""},"password":"x"}', "email: a string is required"),
        (b'{"email":"a@example.com","password":true}', "password: a string is required"),
        (b'{"email":"a\\u0000@example.com","password":"x"}', "NUL"),
        (b'{"email":"a@example.com","password":"x\\u0000"}', "NUL"),
        (b'{"email":"a@example.com","password":"x","password":"y"}', "repeats"),
        (b'{"email":"a@example.com","password":"\xff"}', "UTF-8"),
    ],
)
@pytest.mark.rule("IN-1", "IN-2", "SU-2")
def test_a_body_that_cannot_be_understood_is_400(client: httpx.Client, body: bytes, said: str) -> None:
    answer = client.post("/auth/login", content=body, headers=JSON)
    assert answer.status_code == 400
    assert list(answer.json()) == ["detail"]
    assert said in answer.json()["detail"]


@pytest.mark.rule("IN-1")
def test_the_size_limit_holds_before_anything_is_judged(client: httpx.Client) -> None:
    assert login(client, "a@example.com", "x" * 60_000).status_code == 401
    assert login(client, "a@example.com", "x" * 66_000).status_code == 413


def test_unknown_members_are_ignored(client: httpx.Client) -> None:
    person = sign_up(client)
    body = {"remember_me": True, "email": person.email, "scope": ["admin"], "password": person.password, "user_id": 1}
    assert client.post("/auth/login", json=body).status_code == 200


@pytest.mark.rule("TK-6")
def test_deactivation_ends_what_a_login_gave(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    deactivate(server, person)
    assert client.get(f"/users/{person.id}", headers=person.auth).status_code == 401


@pytest.mark.rule("PW-4")
def test_a_hash_of_another_cost_is_replaced_after_a_login_and_no_sooner(make_server: MakeServer) -> None:
    server = make_server(real_hashing=True)
    cheap = argon2.PasswordHasher(time_cost=3, memory_cost=8192, parallelism=1).hash(PASSWORD)
    with server.client() as client:
        person = sign_up(client)
        store_hash(server, person, cheap)
        assert login(client, person.email, "wrong-horse-Battery-9").status_code == 401
        assert stored_hash(server, person) == cheap
        assert login(client, person.email, PASSWORD).status_code == 200
        assert stored_hash(server, person).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert login(client, person.email, PASSWORD).status_code == 200


@pytest.mark.rule("PW-4")
def test_a_login_succeeds_though_its_hash_cannot_be_upgraded(make_server: MakeServer) -> None:
    def break_hashing(app: App) -> None:
        async def refuse(_password: str) -> StoredPassword:
            raise Unavailable(reason="planted")

        app.hasher.hash = refuse  # type: ignore[method-assign, assignment]

    first = make_server()
    with first.client() as client:
        person = sign_up(client)
    cheap = argon2.PasswordHasher(time_cost=3, memory_cost=8192, parallelism=1).hash(PASSWORD)
    store_hash(first, person, cheap)
    with make_server(like=first, change=break_hashing).client() as client:
        assert login(client, person.email, PASSWORD).status_code == 200
        assert stored_hash(first, person) == cheap


@pytest.mark.rule("D3", "LG-1")
@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$m=19456,t=2,p=1$", "$2b$12$abc"])
def test_a_stored_hash_that_cannot_be_read_matches_nothing(server: Server, client: httpx.Client, stored: str) -> None:
    person = sign_up(client)
    base = fingerprint(login(client, person.email, "wrong-horse-Battery-9"))
    store_hash(server, person, stored)
    for password in (PASSWORD, "", stored):
        assert fingerprint(login(client, person.email, password)) == base
