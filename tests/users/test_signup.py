"""POST /users: who may be called what, and what a body may hold, through HTTP."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any

import httpx
import pytest

from tests.conftest import MakeServer
from tests.login.inside import promote, stored_hash
from tests.people import newcomer, patiently, sign_up, signed_in
from tests.server import Server

JSON = {"Content-Type": "application/json"}
MEMBERS = ["id", "email", "username", "is_active", "is_superuser", "created_at", "updated_at"]


def post(client: httpx.Client, raw: bytes, **headers: str) -> httpx.Response:
    return client.post("/users", content=raw, headers=JSON | headers)


def refusal(answer: httpx.Response, status: int = 400) -> str:
    """The detail of a refusal, which is an object with a text and at most a code beside it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) in (["detail"], ["detail", "code"])
    detail = body["detail"]
    assert isinstance(detail, str)
    assert detail
    return detail


@pytest.mark.rule("AD-5", "SU-1")
def test_a_new_user_is_shown_with_exactly_the_contract_s_members(server: Server, client: httpx.Client) -> None:
    body = newcomer(email="Zoe.Smith+tag@Example.COM", username="Zoe.Smith-1_")
    answer = client.post("/users", json=body)
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    user = answer.json()
    assert list(user) == MEMBERS
    assert type(user["id"]) is int
    assert user["id"] > 0
    assert user["email"] == "Zoe.Smith+tag@example.com"
    assert user["username"] == "Zoe.Smith-1_"
    assert user["is_active"] is True
    assert user["is_superuser"] is False
    assert user["created_at"] == user["updated_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", user["created_at"])
    assert datetime.fromisoformat(user["created_at"] + "+00:00") == server.clock.now().replace(microsecond=0)


def test_ids_grow(client: httpx.Client) -> None:
    ids = [sign_up(client).id for _ in range(3)]
    assert ids == sorted(set(ids))


def test_a_refused_sign_up_changes_nothing(client: httpx.Client) -> None:
    person = signed_in(client)
    total = client.get("/users", headers=person.auth).json()["total"]
    refusal(client.post("/users", json=newcomer(email=person.email)))
    refusal(client.post("/users", json=newcomer(password="short")))
    assert client.get("/users", headers=person.auth).json()["total"] == total


@pytest.mark.rule("SU-2")
def test_what_a_caller_may_not_choose_is_ignored(client: httpx.Client) -> None:
    wished = {
        "id": 77,
        "is_active": False,
        "is_superuser": True,
        "created_at": "2001-01-01T00:00:00",
        "updated_at": None,
        "email_key": "other@example.com",
        "username_key": "other",
        "password_hash": "$argon2id$",
        "role": ["admin"],
        "verified": {"yes": True},
        "": 1,
    }
    person = signed_in(client, **wished)
    assert list(person.user) == MEMBERS
    assert person.id != 77
    assert person.user["is_active"] is True
    assert person.user["is_superuser"] is False
    assert not person.user["created_at"].startswith("2001")
    assert client.get(f"/users/{person.id}", headers=person.auth).json() == person.user


def test_the_user_exists_for_everybody_at_once(client: httpx.Client) -> None:
    reader, person = signed_in(client), sign_up(client)
    assert client.get(f"/users/{person.id}", headers=reader.auth).json() == person.user


@pytest.mark.rule("SU-1")
@pytest.mark.parametrize(
    "spelling", ["{0}.zoe@bücher.example", "{0}.ZOE@BÜCHER.example", "{0}.zoe@xn--bcher-kva.example",
                 "{0}.Zoe@XN--BCHER-KVA.Example", "{0}.zoe@bu\u0308cher.example", "{0}.zoe@\uff42ücher.example"],
)  # fmt: skip
def test_an_address_is_taken_in_every_spelling(client: httpx.Client, spelling: str) -> None:
    tag = sign_up(client).user["username"]
    person = sign_up(client, email=f"{tag}.zoe@bücher.example")
    assert person.email == f"{tag}.zoe@xn--bcher-kva.example"
    answer = client.post("/users", json=newcomer(email=spelling.format(tag)))
    refusal(answer)
    assert answer.json()["code"] == "email_taken"


@pytest.mark.rule("SU-1")
def test_a_username_is_taken_in_every_case(client: httpx.Client) -> None:
    name = sign_up(client).user["username"]
    for taken in (name, name.upper(), name.title()):
        answer = client.post("/users", json=newcomer(username=taken))
        refusal(answer)
        assert answer.json()["code"] == "username_taken"


@pytest.mark.rule("SU-1")
def test_a_taken_name_says_so_though_the_address_is_new(client: httpx.Client) -> None:
    person = sign_up(client)
    both = client.post("/users", json=newcomer(email=person.email, username=person.user["username"]))
    assert both.json()["code"] == "email_taken"


MALFORMED: list[dict[str, Any]] = [
    *({"email": email} for email in (
        "", "nobody", "@example.com", "a@", "a@@example.com", "a b@example.com", "a@exa mple.com", "a@example",
        "a@127.0.0.1", "a@[127.0.0.1]", '"a b"@example.com', "a(comment)@example.com", "a@example.com,b@example.com",
        "a@example.com;b@example.com", "Zoe <a@example.com>", "a..b@example.com", ".a@example.com", "a.@example.com",
        "a@-example.com", "a@example-.com", "a@exam_ple.com", "a@.example.com", "a@example..com", "a@example.com.",
        "a@example.com\n", "\ta@example.com", "a@example.com\r\nBcc: b@example.com", "a\u202eb@example.com",
        "ä@example.com", "a\u0000b@example.com", "a@exam\u0000ple.com", "a" * 65 + "@example.com",
        "a@" + "b" * 64 + ".example", "a@" + "b.c" * 90 + ".example", "a" * 50_000 + "@example.com",
    )),
    *({"username": name} for name in (
        "", "ab", "a" * 65, "a b", "a@example.com", "zoë", "a\u0000b", "a/b", "name\n", "<b>", "名前名前", "a" * 50_000,
    )),
    *({"password": password} for password in (
        "", "Ab1!", "short77", "password123", "qwertyuiop", "aaaaaaaaaaaaaaaa", "x" * 257, "\U0001f40e" * 257,
        "correct-horse\u0000-Battery-9", "k" * 50_000,
    )),
    *({member: value}
      for member in ("email", "username", "password")
      for value in (None, 7, 7.5, True, False, [], ["a@example.com"], {}, {"a": 1})),
]  # fmt: skip


@pytest.mark.rule("PW-1", "PW-3", "SU-1", "SU-2", "IN-1", "IN-2")
def test_malformed_members_are_400_and_never_repeated(client: httpx.Client) -> None:
    for members in MALFORMED:
        [(name, value)] = members.items()
        detail = refusal(client.post("/users", json=newcomer(**members)))
        assert name in detail or "NUL" in detail, members
        if isinstance(value, str) and len(value) > 8 and name == "password":
            assert value not in detail


@pytest.mark.rule("SU-2")
@pytest.mark.parametrize("member", ["email", "username", "password"])
def test_a_missing_member_is_400(client: httpx.Client, member: str) -> None:
    body = {name: value for name, value in newcomer().items() if name != member}
    assert refusal(client.post("/users", json=body)) == f"{member}: is required"


@pytest.mark.rule("PW-2", "IN-1")
@pytest.mark.parametrize("member", ["email", "username", "password"])
def test_half_a_surrogate_pair_is_400(client: httpx.Client, member: str) -> None:
    raw = json.dumps(newcomer() | {member: "correct-horse\ud800-Battery-9"}).encode()
    assert "surrogate" in refusal(post(client, raw))


@pytest.mark.rule("PW-3")
def test_a_password_made_of_one_s_own_names_is_refused(client: httpx.Client) -> None:
    for password in ("zebulon.quartermain", "ZEBULON_QUARTERMAIN1", "niamretrauq.nolubez", "Ostiary-2024!"):
        body = newcomer(email="zebulon.quartermain@example.com", username="zebulon", password=password)
        answer = client.post("/users", json=body)
        refusal(answer)
        assert answer.json()["code"] == "password_refused"


@pytest.mark.rule("PW-1", "PW-2")
@pytest.mark.parametrize(
    "password", ["StrongPass123!", "mV9#kq2Z", "four words and spaces", "  Ünïcödé \U0001f511\x7f  ", "kX9#vQ2z" * 32]
)
def test_good_passwords_are_accepted_and_never_come_back(client: httpx.Client, password: str) -> None:
    answer = client.post("/users", json=newcomer(password=password))
    assert answer.status_code == 201
    assert password not in answer.text


@pytest.mark.rule("PW-1")
def test_the_shortest_password_is_a_setting(make_server: MakeServer) -> None:
    with make_server(password_min_length=15).client() as client:
        assert "at least 15" in refusal(client.post("/users", json=newcomer(password="StrongPass123!")))
        assert client.post("/users", json=newcomer(password="StrongPass1234!")).status_code == 201


@pytest.mark.rule("PW-4", "AD-5")
def test_passwords_are_kept_as_argon2id_with_a_salt_of_their_own(make_server: MakeServer) -> None:
    server = make_server(real_hashing=True)
    with server.client() as client:
        stored = [stored_hash(server, sign_up(client)) for _ in range(2)]
    form = re.compile(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$(?P<salt>[^$]{22})\$[^$]{43}")
    salts = {found["salt"] for text in stored if (found := form.fullmatch(text))}
    assert len(salts) == 2


BODIES = {
    "nothing": (b"", "empty"),
    "broken": (b'{"email":', "not valid JSON"),
    "an array": (b"[]", "JSON object"),
    "null": (b"null", "JSON object"),
    "a repeated name": (b'{"email":"a@example.com","email":"b@example.com"}', "repeats"),
    "a repeated unknown name": (b'{"x":1,"x":1}', "repeats"),
    "NaN in an unknown member": (b'{"x":NaN}', "NaN"),
    "Infinity": (b'{"x":-Infinity}', "NaN or Infinity"),
    "no UTF-8": (b'{"x":"\xff"}', "UTF-8"),
    "UTF-16": ('{"x":1}'.encode("utf-16"), "UTF-8"),
    "NUL in an unknown member": (b'{"x":"\\u0000"}', "NUL"),
    "17 deep": (b'{"x":' + b"[" * 16 + b"]" * 16 + b"}", "16 deep"),
    "10,000 deep": (b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "16 deep"),
    "201 names": (json.dumps({f"x{n}": n for n in range(201)}).encode(), "more than 200"),
    "a number of 10,000 digits": (b'{"x":' + b"9" * 10_000 + b"}", "too many digits"),
}


@pytest.mark.rule("IN-1", "IN-2")
def test_a_body_that_cannot_be_read_is_400(client: httpx.Client) -> None:
    for kind, (raw, said) in BODIES.items():
        assert said in refusal(post(client, raw)), kind


@pytest.mark.rule("IN-1")
def test_a_body_at_the_bounds_is_read(client: httpx.Client) -> None:
    deep = newcomer() | {"x": json.loads("[" * 15 + "]" * 15)}
    wide = newcomer() | {f"x{n}": n for n in range(197)}
    large = json.dumps(newcomer()).encode()
    large = large[:-1] + b" " * (65_536 - len(large)) + b"}"
    assert client.post("/users", json=deep).status_code == 201
    assert client.post("/users", json=wide).status_code == 201
    assert post(client, large).status_code == 201
    assert "too large" in refusal(post(client, large + b" "), 413)


@pytest.mark.rule("HT-4")
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"]
)
def test_only_json_is_read(client: httpx.Client, kind: str) -> None:
    refusal(client.post("/users", content=json.dumps(newcomer()), headers={"Content-Type": kind}), 415)


def test_closed_sign_up_is_403(make_server: MakeServer) -> None:
    with make_server(signup="closed").client() as client:
        answer = client.post("/users", json=newcomer())
        refusal(answer, 403)
        assert answer.json()["code"] == "signup_closed"


@pytest.mark.rule("SU-1")
def test_of_fifty_sign_ups_of_one_address_at_once_one_succeeds(make_server: MakeServer) -> None:
    server = make_server()
    body = newcomer()

    def attempt(number: int) -> httpx.Response:
        email = body["email"].upper() if number % 2 else body["email"]
        with server.client() as client:
            return patiently(partial(client.post, "/users", json=newcomer(email=email)))

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(attempt, range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 49
    assert {answer.json()["code"] for answer in answers if answer.status_code == 400} == {"email_taken"}
    with server.client() as client:
        reader = signed_in(client)
        promote(server, reader)
        assert client.get("/users", headers=reader.auth).json()["total"] == 2
