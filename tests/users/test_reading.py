"""GET /users/{user_id}, and what is checked first when a request is wrong in several ways, through HTTP."""

import httpx
import pytest

from tests.conftest import MakeServer
from tests.login.inside import deactivate, promote
from tests.people import bearer, newcomer, refresh, sign_up, signed_in
from tests.server import Server

BAD_CREDENTIALS = {"detail": "Invalid authentication credentials"}
NOT_FOUND = {"detail": "Resource not found"}
MEMBERS = ["id", "email", "username", "is_active", "is_superuser", "created_at", "updated_at"]
NONSENSE = bearer("x.y.z")


def test_oneself_is_read_as_signed_up(client: httpx.Client) -> None:
    person = signed_in(client)
    answer = client.get(f"/users/{person.id}", headers=person.auth)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == MEMBERS
    assert answer.json() == person.user


@pytest.mark.rule("AD-5")
def test_no_answer_holds_more_than_the_contract_shows(client: httpx.Client) -> None:
    person = signed_in(client)
    for path in (f"/users/{person.id}", "/users?limit=100"):
        text = client.get(path, headers=person.auth).text
        assert not any(word in text for word in ("hash", "argon2", "password", "_key", "session"))


def test_a_superuser_is_shown_as_one(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    promote(server, person)
    assert client.get(f"/users/{person.id}", headers=person.auth).json()["is_superuser"] is True


def test_a_deactivated_user_is_shown_as_one_to_others(server: Server, client: httpx.Client) -> None:
    person, gone = signed_in(client), sign_up(client)
    deactivate(server, gone)
    assert client.get(f"/users/{gone.id}", headers=person.auth).json()["is_active"] is False


@pytest.fixture(scope="module")
def reader(server: Server) -> dict[str, str]:
    with server.client() as client:
        return signed_in(client).auth


NO_INTEGERS = (
    "abc", "1.0", "+1", "%2B1", "1e3", "0x1", "1_000", "%20", "%201", "1%20", "1%0A", "%00", "1%00", "-", "--1", "1-",
    "%D9%A3", "%C2%B2", "%EF%BC%91", "%ED%A0%80", "%FF", "null", "self", "*", "1;2", "1,2", "%27", "{user_id}", "%2E",
)  # fmt: skip
NOBODYS = (
    "0", "-0", "-1", "00", "999999999", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
    "18446744073709551617", "9" * 20, "9" * 5_000, "-" + "9" * 5_000, "0" * 5_000,
)  # fmt: skip


@pytest.mark.rule("IN-2")
def test_an_id_that_is_no_integer_is_400(client: httpx.Client, reader: dict[str, str]) -> None:
    for text in NO_INTEGERS:
        answer = client.get(f"/users/{text}", headers=reader)
        assert (answer.status_code, list(answer.json())) == (400, ["detail"]), text


@pytest.mark.rule("IN-2")
def test_an_integer_that_is_nobody_s_id_is_404(client: httpx.Client, reader: dict[str, str]) -> None:
    for text in NOBODYS:
        answer = client.get(f"/users/{text}", headers=reader)
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND), text


@pytest.mark.rule("IN-2")
def test_an_id_of_thousands_of_digits_is_no_error_of_ours(client: httpx.Client, reader: dict[str, str]) -> None:
    answer = client.get("/users/" + "9" * 8_000, headers=reader)
    assert answer.status_code == 404
    assert list(answer.json()) == ["detail"]
    assert client.get("/users/" + "9" * 10_000, headers=reader).status_code == 414


def test_an_id_may_have_zeros_before_it(client: httpx.Client) -> None:
    person = signed_in(client)
    for zeros in ("0", "00", "0" * 30, "0" * 5_000):
        assert client.get(f"/users/{zeros}{person.id}", headers=person.auth).json() == person.user


PATHS = (
    "/users/", "/users/1/", "/users//1", "//users/1", "/users/1%2F", "/users/1%2F2", "/users/..%2F1", "/Users/1",
    "/users%0A", "/users%00", "/users;x", "/nowhere", "/auth", "/auth/login/", "/auth/login%0A", "/health/",
    "/health%0A", "/", "",
)  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_any_other_path_is_404(client: httpx.Client, method: str, reader: dict[str, str]) -> None:
    base = str(client.base_url).rstrip("/")
    for path in PATHS:
        for headers in ({}, reader):
            answer = client.request(method, base + path, headers=headers)
            assert (answer.status_code, answer.json()) == (404, NOT_FOUND), path


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/users", {"GET", "HEAD", "POST"}),
        ("/users/1", {"DELETE", "GET", "HEAD", "PATCH"}),
        ("/auth/login", {"POST"}),
        ("/auth/refresh", {"POST"}),
        ("/health", {"GET", "HEAD"}),
    ],
)
def test_allow_names_every_method_of_a_path(client: httpx.Client, path: str, allowed: set[str]) -> None:
    for method in METHODS:
        answer = client.request(method, path)
        if method in allowed:
            assert answer.status_code not in {404, 405}
            continue
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == allowed
        if method != "HEAD":
            assert answer.json() == {"detail": "Method not allowed"}


def test_head_answers_what_get_does_without_the_body(client: httpx.Client, reader: dict[str, str]) -> None:
    changing = {"date", "x-request-id"}
    for path in ("/health", "/users?limit=3", "/users/abc", "/users/999999999", "/nowhere"):
        got, head = client.get(path, headers=reader), client.head(path, headers=reader)
        assert head.status_code == got.status_code
        assert head.content == b""
        assert {k: v for k, v in head.headers.items() if k not in changing} == {
            k: v for k, v in got.headers.items() if k not in changing
        }
    assert client.head("/users").status_code == 401


BAD_AUTHORIZATIONS = (
    b"", b"Bearer", b"x.y.z", b"Bearer x.y.z", b"Basic dXNlcjpwYXNz", b"Token x", b"Bearer\tx.y.z", b"Bearer \xfc",
    b"Bearer " + b"x" * 6_000, b"Bearer null", b"Bearer eyJhbGciOiJub25lIn0.e30.",
)  # fmt: skip


@pytest.mark.rule("D3")
def test_without_a_live_token_nobody_is_seen(client: httpx.Client) -> None:
    without: list[list[tuple[bytes, bytes]]] = [[]]
    for headers in without + [[(b"authorization", value)] for value in BAD_AUTHORIZATIONS]:
        for path in ("/users/1", "/users", "/users/abc", "/users?limit=ten"):
            answer = client.get(path, headers=headers)
            assert (answer.status_code, answer.json()) == (401, BAD_CREDENTIALS), headers
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.rule("D3")
def test_a_token_is_taken_in_one_header_only_and_its_scheme_in_any_case(client: httpx.Client) -> None:
    person = signed_in(client)
    path = f"/users/{person.id}"
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        assert client.get(path, headers={"Authorization": f"{scheme} {person.access_token}"}).status_code == 200
    twice = [("Authorization", f"Bearer {person.access_token}")] * 2
    assert client.get(path, headers=twice).status_code == 401
    assert client.get(path, headers={"Authorization": f"Bearer {person.refresh_token}"}).status_code == 401
    assert client.get(path, params={"access_token": person.access_token}).status_code == 401
    assert client.get(path, headers={"Cookie": f"access_token={person.access_token}"}).status_code == 401


# What is checked first answers: limit per address, token, limit per user, path and method, whether a token is needed,
# body and parameters, who may see what. The limits' own place is in tests/web/test_limits.py.


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", "/auth/login", 405),
        ("PUT", "/users/1", 405),
        ("POST", "/users", 400),
        ("POST", "/auth/login", 400),
        ("POST", "/auth/refresh", 400),
        ("GET", "/health", 200),
    ],
)
def test_a_bad_token_is_refused_before_path_method_and_body_are_looked_at(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    content = b"{" if method == "POST" else None
    headers = {"Content-Type": "application/json"}
    assert client.request(method, path, content=content, headers=headers).status_code == status
    answer = client.request(method, path, content=content, headers=headers | NONSENSE)
    assert answer.status_code == (200 if path == "/health" else 401)


def test_a_good_token_hinders_no_public_call(client: httpx.Client) -> None:
    person = signed_in(client)
    body = newcomer()
    assert client.post("/users", json=body, headers=person.auth).status_code == 201
    login = {"email": body["email"], "password": body["password"]}
    answer = client.post("/auth/login", json=login, headers=person.auth)
    assert answer.status_code == 200
    renewed = client.post("/auth/refresh", json={"refresh_token": person.refresh_token}, headers=person.auth)
    assert renewed.status_code == 200
    assert refresh(client, answer.json()["refresh_token"]).status_code == 200


def test_whether_a_token_is_needed_comes_before_parameters_and_these_before_who_sees_whom(
    make_server: MakeServer,
) -> None:
    with make_server(directory_visibility="self").client() as client:
        person, other = signed_in(client), sign_up(client)
        assert client.get("/users/abc").status_code == 401
        assert client.get("/users/abc", headers=person.auth).status_code == 400
        assert client.get("/users?limit=0").status_code == 401
        assert client.get("/users?limit=0", headers=person.auth).status_code == 400
        assert client.get(f"/users/{other.id}").status_code == 401
        assert client.get(f"/users/{other.id}", headers=person.auth).json() == NOT_FOUND
