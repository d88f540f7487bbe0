"""POST /users: what is refused, in which words, and that nothing of it stays."""

import json
from typing import Any

import httpx
import pytest

from tests.people import PASSWORD, newcomer
from tests.server import Server
from tests.users.asking import NOT_FOUND, detail_of, nothing_stored, post_user

NAMES = ("email", "username", "password")
MAX_BYTES = 64 * 1024

MALFORMED_EMAILS = [
    "",
    " ",
    "nobody",
    "@example.com",
    "user@",
    "user@@example.com",
    "user@other@example.com",
    " user@example.com",
    "user@example.com ",
    "user@example.com\n",
    "user\r\nBcc: other@example.com",
    "us er@example.com",
    '"user"@example.com',
    "user(comment)@example.com",
    "User <user@example.com>",
    "user@example.com,other@example.com",
    "user@example.com;other@example.com",
    "mailto:user@example.com",
    ".user@example.com",
    "us..er@example.com",
    "üser@example.com",
    "user@[127.0.0.1]",
    "user@127.0.0.1",
    "user@example",
    "user@example..com",
    "user@-example.com",
    "user@exa_mple.com",
    "user@☃.example",
    "user@xn--ü.example",
    "u" * 65 + "@example.com",
    "u@" + ".".join(["x" * 60] * 4) + ".example.com",
    "u@" + "x" * 64 + ".example",
    "u@" + "ü." * 90 + "example",
    "x" * 60_000 + "@example.com",
]
MALFORMED_USERNAMES = [
    "",
    "ab",
    "x" * 65,
    "x" * 60_000,
    "user name",
    " username",
    "username\n",
    "user@example.com",
    "usér",
    "\u212aelvin",
    "user/name",
    "user%00",
    "<b>user</b>",
    "用户名用户名",
]
REFUSED_PASSWORDS = {
    "nothing": "",
    "one short of eight": "kX9#vQ2",
    "seven characters of 28 bytes": "😀🐎🔋🦊🍋🎻🧭",
    "one over 256": "kX9#" * 64 + "x",
    "far too long": "kX9#" * 15_000,
    "common": "password123",
    "digits": "1234567890",
    "keyboard": "qwertyuiop",
    "one letter": "aaaaaaaaaaaaaaaa",
    "username": "margaret-hamilton",
    "username varied": "M4rgaret.Hamilton_1969!",
    "username backwards": "notlimah-teragram",
    "username twice": "margarethamiltonmargarethamilton",
    "local part of the address": "Apollo-Guidance",
    "address": "apollo-guidance@example.com",
    "product": "Ostiary2024!",
}


@pytest.mark.rule("SU-1", "IN-2")
def test_malformed_names_are_400(server: Server, client: httpx.Client) -> None:
    with nothing_stored(server):
        for email in MALFORMED_EMAILS:
            detail = detail_of(post_user(client, newcomer(email=email)), 400)
            assert detail.startswith("email must "), email
            assert len(detail) < 200
        for username in MALFORMED_USERNAMES:
            detail = detail_of(post_user(client, newcomer(username=username)), 400)
            assert detail.startswith("username must "), username
            assert len(detail) < 200


@pytest.mark.rule("SU-2", "IN-2")
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_string_is_400(server: Server, client: httpx.Client, name: str) -> None:
    good = newcomer()
    values: list[Any] = [7, -0.5, True, False, None, [], [good[name]], {}, {"$ne": ""}, [[good[name]]], 10**30]
    with nothing_stored(server):
        for value in values:
            assert detail_of(post_user(client, good | {name: value}), 400) == f"{name}: a string is required", value


@pytest.mark.rule("SU-2", "IN-2")
def test_a_missing_member_is_400(server: Server, client: httpx.Client) -> None:
    with nothing_stored(server):
        for number in range(7):  # every choice of members but all three
            good = newcomer()
            given = {name: good[name] for bit, name in enumerate(NAMES) if number & 1 << bit}
            missing = [f"{name}: is required" for name in NAMES if name not in given]
            assert detail_of(post_user(client, given), 400) == "; ".join(missing)
        other_case = {name.title(): value for name, value in newcomer().items()}
        assert detail_of(post_user(client, other_case), 400).count("is required") == 3


@pytest.mark.rule("IN-1", "PW-2")
@pytest.mark.parametrize("name", NAMES)
def test_nul_and_half_surrogate_pairs_are_400(server: Server, client: httpx.Client, name: str) -> None:
    value = newcomer()[name]
    with nothing_stored(server):
        for text in (f"{value}\0", f"\0{value}", f"{value[:4]}\0{value[4:]}"):
            assert "NUL" in detail_of(post_user(client, newcomer() | {name: text}), 400)
        for text in (f"{value}\ud800", f"\udfff{value}", f"{value[:4]}\udc00\ud83d{value[4:]}"):
            detail = detail_of(post_user(client, newcomer() | {name: text}), 400)
            assert detail == f"{name}: a string with an unpaired surrogate is not text"


@pytest.mark.rule("PW-1", "PW-3")
def test_a_bad_password_is_refused_and_never_repeated(server: Server, client: httpx.Client) -> None:
    names = {"email": "Apollo-Guidance@example.com", "username": "Margaret-Hamilton"}
    with nothing_stored(server):
        for kind, password in REFUSED_PASSWORDS.items():
            answer = post_user(client, names | {"password": password})
            detail = detail_of(answer, 400, code="password_refused")
            assert detail.startswith("password "), kind
            assert not password or password not in answer.text, kind
            assert len(detail) < 300, kind
    answer = post_user(client, names | {"password": PASSWORD})
    assert answer.status_code == 201, "it was the passwords that were refused"


def padded(size: int, **members: Any) -> bytes:
    """A good body of so many bytes."""
    body = newcomer() | members | {"padding": ""}
    body["padding"] = "x" * (size - len(json.dumps(body)))
    return json.dumps(body).encode()


def nested(depth: int, opening: str, closing: str) -> bytes:
    """A good body whose brackets are so many deep."""
    inner = opening * (depth - 1) + "1" + closing * (depth - 1)
    return json.dumps(newcomer() | {"extra": "@"}).replace('"@"', inner).encode()


@pytest.mark.rule("IN-1")
def test_bodies_within_the_limits_are_taken_unknown_members_and_all(client: httpx.Client) -> None:
    for body in (
        padded(MAX_BYTES),
        nested(16, '{"a":', "}"),
        nested(16, "[", "]"),
        json.dumps(newcomer() | {f"member {number}": {} for number in range(197)}).encode(),
        b" \r\n\t" + json.dumps(newcomer(), ensure_ascii=False, indent=4).encode() + b"\n",
        json.dumps(newcomer() | {"half": "\ud800", "number": -1.5e300, "\udfff": None}).encode(),
    ):
        assert post_user(client, body).status_code == 201, body[:200]


@pytest.mark.rule("IN-1", "IN-2")
def test_bodies_over_the_limits_are_refused(server: Server, client: httpx.Client) -> None:
    with nothing_stored(server):
        for body in (padded(MAX_BYTES + 1), padded(1_000_000), padded(MAX_BYTES + 2)[:-1]):
            assert detail_of(post_user(client, body), 413) == "Request body too large"
        for body, said in (
            (nested(17, '{"a":', "}"), "deep"),
            (nested(17, "[", "]"), "deep"),
            (nested(10_000, '{"a":', "}"), "deep"),
            (json.dumps(newcomer() | {f"member {number}": 1 for number in range(198)}).encode(), "200 members"),
            (json.dumps(newcomer() | {"extra": [{"a": 1}] * 197}).encode(), "200 members"),
        ):
            assert said in detail_of(post_user(client, body), 400)


def good(before: str = "", after: str = "") -> str:
    """A good body as text, with further members at either end."""
    return "{" + before + json.dumps(newcomer())[1:-1] + after + "}"


NO_JSON_OBJECTS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "white space": (b"\n", "not valid JSON"),
    "cut off": (good()[:-1].encode(), "not valid JSON"),
    "too much": ((good() + "}").encode(), "not valid JSON"),
    "two objects": ((good() + good()).encode(), "not valid JSON"),
    "comma at the end": (good(after=",").encode(), "not valid JSON"),
    "array": (f"[{good()}]".encode(), "must be a JSON object"),
    "string": (json.dumps(good()).encode(), "must be a JSON object"),
    "null": (b"null", "must be a JSON object"),
    "number": (b"5", "must be a JSON object"),
    "form": (b"email=user%40example.com&username=user", "not valid JSON"),
    "e-mail twice": (good(before='"email":"a@example.com",').encode(), "repeats"),
    "password twice, once escaped": (good(after=',"passwor\\u0064":"x"').encode(), "repeats"),
    "twice further in": (good(after=',"extra":{"a":1,"a":1}').encode(), "repeats"),
    "NaN": (good(after=',"extra":NaN').encode(), "NaN"),
    "Infinity": (good(after=',"extra":[-Infinity]').encode(), "Infinity"),
    "1e999": (good(after=',"extra":1e999').encode(), "too large"),
    "5,000 digits": (good(after=f',"extra":{"9" * 5000}').encode(), "digits"),
    "NUL in an unknown member": (good(after=',"extra":"\\u0000"').encode(), "NUL"),
    "NUL in an unknown name": (good(after=',"\\u0000":1').encode(), "NUL"),
    "byte order mark": (good().encode("utf-8-sig"), "byte order mark"),
    "UTF-16": (good().encode("utf-16"), "UTF-8"),
    "UTF-16 without mark": (good().encode("utf-16-be"), "not valid JSON"),
    "UTF-32": (good().encode("utf-32"), "UTF-8"),
    "CESU": (good(after=',"extra":"@"').encode().replace(b"@", b"\xed\xa0\x80"), "UTF-8"),
    "Latin-1": (good(after=',"extra":"ü"').encode("latin-1"), "UTF-8"),
}


@pytest.mark.rule("IN-1", "IN-2")
def test_what_is_no_acceptable_json_object_is_400(server: Server, client: httpx.Client) -> None:
    with nothing_stored(server):
        for kind, (body, said) in NO_JSON_OBJECTS.items():
            assert said in detail_of(post_user(client, body), 400), kind


@pytest.mark.rule("HT-4")
def test_what_is_not_declared_as_json_is_415(server: Server, client: httpx.Client) -> None:
    body = newcomer()
    with nothing_stored(server):
        for content_type in (
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json; charset=utf-16",
            "application/json, text/plain",
            "application/*",
            "",
        ):
            answer = client.post("/users", content=json.dumps(body), headers={"Content-Type": content_type})
            assert detail_of(answer, 415) == "Content-Type must be application/json", content_type
        for answer in (
            client.post("/users", content=json.dumps(body)),
            client.post("/users", data=body),
            client.post("/users", files={"email": body["email"]}),
            client.post("/users", json=body, headers={"Content-Encoding": "gzip"}),
        ):
            detail_of(answer, 415)


@pytest.mark.rule("IN-2")
def test_other_methods_and_paths_are_refused_as_the_contract_says(server: Server, client: httpx.Client) -> None:
    with nothing_stored(server):
        for path, allowed in (("/users", "GET, HEAD, POST"), ("/users/1", "DELETE, GET, HEAD, PATCH")):
            for method in {"PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} - set(allowed.split(", ")):
                answer = client.request(method, path, json=newcomer())
                detail_of(answer, 405)
                assert answer.headers["allow"] == allowed
        assert client.post("/users/1", json=newcomer()).status_code == 405
        for path in ("/users/", "/users//", "/Users", "/user", "/users/1/", "/users.json"):
            answer = client.post(path, json=newcomer())
            assert (answer.status_code, answer.json()) == (404, NOT_FOUND), path
