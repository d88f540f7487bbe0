"""The document tells the truth: whatever is answered is in it, and everything in it is really answered."""

import asyncio
import http.client
import secrets
from collections.abc import Callable, Iterator
from functools import cached_property
from http import HTTPStatus
from typing import Any, Self

import httpx
import pytest
from sqlalchemy import Connection, update

from ostiary.db import open_database
from ostiary.db.database import Unreachable
from ostiary.edge import pipeline
from ostiary.login.signup import offer_setup
from ostiary.users.models import users
from ostiary.web.body import read_json
from ostiary.web.endpoint import Access
from tests.api_keys.keys import made_account, made_key
from tests.login.inside import promote
from tests.people import Person, bearer, newcomer, sign_up, signed_in
from tests.reference.conformance import (
    BY_ID,
    assert_documented,
    assert_refusal,
    documented_answers,
    is_path_of,
    parameters_of,
    path_of,
)
from tests.reference.conftest import COUNTED, Started
from tests.roles.planted import plant_holder, plant_role
from tests.server import Server
from tests.sessions.aged import age
from tests.sessions.answers import session_of
from tests.sessions.waiting import wait_until
from tests.verification.bodies import mailed_body


def demote_everybody(connection: Connection) -> None:
    """Make it a place that still waits for its first superuser."""
    connection.execute(update(users).values(is_superuser=False))


class Client:
    """Calls operations by name, with what they need to succeed unless told otherwise."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.http = httpx.Client(base_url=server.url, timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def call(self, name: str, *, place: object = None, **options: Any) -> httpx.Response:
        """Call an operation, signed in where that is needed; `place` stands for everything that the path names."""
        endpoint = BY_ID[name]
        headers = {} if endpoint.access is Access.PUBLIC else self.caller(name).auth
        named = parameters_of(name)
        values = {parameter: self.named(parameter, name) if place is None else place for parameter in named}
        path = path_of(name, **values)
        if endpoint.body is not None and "content" not in options:
            options.setdefault("json", self.body(name))
        headers |= options.pop("headers", {})
        response = self.http.request(endpoint.method, path, headers=headers, **options)
        if response.status_code == HTTPStatus.NO_CONTENT:
            self.forget_person()  # signed out
        return response

    def forget_person(self) -> None:
        """Let others be the next who are signed in: these may be gone."""
        for who in ("person", "superuser"):
            self.__dict__.pop(who, None)

    def caller(self, name: str) -> Person:
        """Somebody who is signed in and may call the operation."""
        return self.person if BY_ID[name].permission is None else self.superuser

    @cached_property
    def person(self) -> Person:
        """Somebody who is signed in."""
        with self.server.client() as client:
            return signed_in(client)

    @cached_property
    def superuser(self) -> Person:
        """Somebody who is signed in and may do everything."""
        with self.server.client() as client:
            person = signed_in(client)
        promote(self.server, person)
        return person

    @cached_property
    def service_account(self) -> int:
        """The id of a program's account."""
        with self.server.client() as client:
            return made_account(client, self.superuser)

    def named(self, parameter: str, name: str) -> object:
        """Something that is there, for a parameter of an operation's path."""
        with self.server.client() as client:
            match parameter:
                case "user_id" if "ServiceAccount" in name:
                    return self.service_account
                case "user_id":
                    return self.person.id
                case "session_id":
                    return session_of(self.person)
                case "key_id" if "ServiceAccount" in name:
                    return made_key(client, self.superuser, account=self.service_account)["id"]
                case "key_id":
                    return made_key(client, self.person)["id"]
                case "name":
                    role = f"role-{secrets.token_hex(4)}"
                    plant_role(self.server, role)
                    if name == "deleteUserRole":
                        plant_holder(self.server, self.person.id, role)
                    return role
        raise AssertionError(f"what is a {parameter}?")

    def body(self, name: str) -> dict[str, Any]:
        """A body that will do."""
        if name == "createUser":
            return newcomer()
        if name == "setup":
            return newcomer(token=asyncio.run(self._setup_token()))
        if name == "login":
            with self.server.client() as client:
                person = sign_up(client)
            return {"email": person.email, "password": person.password}
        if name == "refresh":
            with self.server.client() as client:
                return {"refresh_token": signed_in(client).refresh_token}
        if name.endswith("Role"):
            return {"name": f"role-{secrets.token_hex(4)}", "permissions": ["users:read"]}
        return self.own_body(name)

    def own_body(self, name: str) -> dict[str, Any]:
        """A body that will do for what somebody does with his own account."""
        match name:
            case "reauthenticate":
                return {"password": self.person.password}
            case "changePassword":
                return {"current_password": self.person.password, "new_password": f"{self.person.password}-2"}
            case "updateMe" | "updateUser" | "inviteUser" | "createServiceAccount":
                return {member: value for member, value in newcomer().items() if member != "password"}
            case "updateProfile":
                return {"language": "de", "metadata": {"theme": "dark"}}
            case "createApiKey" | "createServiceAccountApiKey":
                return {"name": "a key", "scopes": []}
        return mailed_body(self.server, self.person, name)

    async def _setup_token(self) -> str | None:
        db = open_database(self.server.settings)
        try:
            await db.write(demote_everybody)
            self.__dict__.pop("superuser", None)
            return await db.write(offer_setup, now=self.server.clock.now())
        finally:
            await db.close()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with Client(server) as client:
        yield client


def succeed(client: Client, name: str, _: pytest.MonkeyPatch) -> httpx.Response:
    return client.call(name)


def bad_request(client: Client, name: str, _: pytest.MonkeyPatch) -> httpx.Response:
    if BY_ID[name].body is not None:
        return client.call(name, json={"email": 1, "username": 1, "metadata": 1, "permissions": 1})
    return client.call(name, place="first", params={"limit": "0"})


def bad_token(client: Client, name: str, _: pytest.MonkeyPatch) -> httpx.Response:
    return client.call(name, headers=bearer("nonsense"))


def forbidden(client: Client, name: str, _: pytest.MonkeyPatch) -> httpx.Response:
    """Lack what the operation asks for: a permission, a session, or what proves who one is."""
    endpoint = BY_ID[name]
    if endpoint.permission is not None:
        return client.call(name, headers=client.person.auth)
    if endpoint.access is Access.RECENT:
        age(client.server, client.person)
        response = client.call(name)
        client.forget_person()
        return response
    if name == "reauthenticate":
        return client.call(name, json={"password": "wrong"})
    if name == "changePassword":
        return client.call(name, json=client.body(name) | {"current_password": "wrong"})
    with client.server.client() as http:
        return client.call(name, headers=bearer(made_key(http, client.person)["key"]))


def unknown_object(client: Client, name: str, _: pytest.MonkeyPatch) -> httpx.Response:
    return client.call(name, place=2**64)


def slow_body(client: Client, name: str, monkeypatch: pytest.MonkeyPatch) -> httpx.Response:
    """Announce a body and send none."""
    assert read_json.__kwdefaults__ is not None
    monkeypatch.setitem(read_json.__kwdefaults__, "timeout_seconds", 0.05)
    endpoint = BY_ID[name]
    connection = http.client.HTTPConnection("127.0.0.1", client.server.port, timeout=10)
    connection.putrequest(endpoint.method, path_of(name))
    if endpoint.access is not Access.PUBLIC:
        connection.putheader("Authorization", client.caller(name).auth["Authorization"])
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "10")
    connection.endheaders()
    answer = connection.getresponse()
    response = httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
    connection.close()
    return response


def large_body(client: Client, name: str, _: pytest.MonkeyPatch) -> httpx.Response:
    return client.call(name, content=b" " * 70_000, headers={"Content-Type": "application/json"})


def other_body(client: Client, name: str, _: pytest.MonkeyPatch) -> httpx.Response:
    return client.call(name, content=b"<xml/>", headers={"Content-Type": "text/xml"})


def break_down(client: Client, name: str, monkeypatch: pytest.MonkeyPatch) -> httpx.Response:
    """Break what every request passes."""
    endpoint = BY_ID[name]

    def broken(_: object) -> str:
        raise RuntimeError("planted")

    monkeypatch.setattr(pipeline, "route_path", broken)
    return client.http.request(endpoint.method, path_of(name))


class Away:
    """A database that nobody reaches, in the place of those who ask it."""

    async def __call__(self, _: object) -> Any:
        raise Unreachable

    async def is_reachable(self) -> bool:
        return False

    async def is_ready(self) -> bool:
        return False


def database_away(client: Client, name: str, _: pytest.MonkeyPatch) -> httpx.Response:
    endpoint, app, auth = BY_ID[name], client.server.app, client.person.auth
    kept = {part: getattr(app, part) for part in ("callers", "database_check")}
    try:
        for part in kept:
            object.__setattr__(app, part, Away())
        return client.http.request(endpoint.method, path_of(name), headers=auth)
    finally:
        for part, value in kept.items():
            object.__setattr__(app, part, value)


PROVOKE: dict[int, Callable[[Client, str, pytest.MonkeyPatch], httpx.Response]] = {
    200: succeed,
    201: succeed,
    202: succeed,
    204: succeed,
    400: bad_request,
    401: bad_token,
    403: forbidden,
    404: unknown_object,
    408: slow_body,
    413: large_body,
    415: other_body,
    500: break_down,
    503: database_away,
}
CLOSED = COUNTED | {"signup": "closed"}
FULL = COUNTED | {"rate_limit_per_address": "1/hour"}


def server_of_its_own(name: str, status: int) -> dict[str, str] | None:
    """The settings of a server that answers like this, where the one with the usual settings does not."""
    if status == HTTPStatus.FORBIDDEN and BY_ID[name].access is Access.PUBLIC:
        return CLOSED
    return FULL if status == HTTPStatus.TOO_MANY_REQUESTS else None


@pytest.mark.rule("IN-2")
@pytest.mark.parametrize(("name", "status"), documented_answers())
def test_every_documented_answer_is_given_as_documented(
    client: Client, started: Started, monkeypatch: pytest.MonkeyPatch, name: str, status: int
) -> None:
    """A status that no request here can bring about does not belong into the document."""
    if options := server_of_its_own(name, status):
        endpoint = BY_ID[name]
        body = newcomer(token="x") if endpoint.body else None
        with Client(started(**options)) as own:
            response = [own.http.request(endpoint.method, path_of(name), json=body) for _ in range(2)][-1]
    else:
        response = PROVOKE[status](client, name, monkeypatch)
    assert response.status_code == status, response.text
    assert_documented(response, name)
    if status >= 400 and BY_ID[name].is_limited:
        assert_refusal(response)


ODD_REQUESTS: dict[str, dict[str, Any]] = {
    "another scheme": {"headers": {"Authorization": "Basic dXNlcjpwYXNz"}},
    "no token after the scheme": {"headers": {"Authorization": "Bearer"}},
    "a token that is no ASCII": {"headers": {"Authorization": "Bearer é".encode()}},
    "an encoded body": {"content": b"x", "headers": {"Content-Type": "application/json", "Content-Encoding": "gzip"}},
    "no media type": {"content": b"{}"},
    "an empty body": {"content": b"", "headers": {"Content-Type": "application/json"}},
    "a body that is no object": {"json": [1]},
    "a body of other types": {"json": {"email": [], "username": {}, "password": 1, "refresh_token": None, "token": 1}},
    "NUL": {"json": {"email": "\0", "username": "\0", "password": "\0", "refresh_token": "\0", "token": "\0"}},
    "a lone surrogate": {
        "content": rb'{"email":"\ud800","username":"\ud800","password":"\ud800","refresh_token":"\ud800","token":""}',
        "headers": {"Content-Type": "application/json"},
    },
    "long strings": {"json": dict.fromkeys(("email", "username", "password", "refresh_token", "token"), "x" * 9000)},
    "odd parameters": {"params": {"skip": "\N{ARABIC-INDIC DIGIT ONE}", "limit": "-0", "unknown": "\0"}},
    "a parameter twice": {"params": {"skip": ["1", "2"]}},
    "a huge number": {"params": {"skip": "9" * 5000}},
    "an unexpected cookie": {"headers": {"Cookie": "session=1"}},
    "a wish for another language": {"headers": {"Accept": "text/html", "Accept-Language": "xx"}},
}


@pytest.mark.rule("IN-2")
@pytest.mark.parametrize("odd", ODD_REQUESTS)
@pytest.mark.parametrize("name", BY_ID)
def test_odd_requests_are_answered_as_documented(client: Client, name: str, odd: str) -> None:
    endpoint = BY_ID[name]
    places = ("1", "-1", "0", "x", "%00", "%ff", "9" * 1500)
    paths = [path_of(name, **dict.fromkeys(parameters_of(name), place)) for place in places]
    for path in dict.fromkeys(paths):
        options = dict(ODD_REQUESTS[odd])
        headers = client.caller(name).auth | options.pop("headers", {})
        response = client.http.request(endpoint.method, path, headers=headers, **options)
        assert response.status_code < 500
        assert_documented(response, name)
        if response.status_code == HTTPStatus.NO_CONTENT:
            client.forget_person()


@pytest.mark.rule("IN-2")
@pytest.mark.parametrize("path", ["/api/v1/nowhere", "/api/v1/users/", "/api/v1/users/1/2", "/api/v1", "/%00", "//"])
def test_a_path_that_does_not_exist_is_the_contracts_404(client: Client, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        response = client.http.request(method, f"{client.server.url}{path}")
        assert (response.status_code, response.json()) == (404, {"detail": "Resource not found"})


@pytest.mark.rule("IN-2")
@pytest.mark.parametrize("name", BY_ID)
def test_a_method_that_the_path_does_not_take_is_told_which_ones_it_does(client: Client, name: str) -> None:
    path = path_of(name)
    allowed = {method for endpoint in BY_ID.values() if is_path_of(endpoint, path) for method in endpoint.methods}
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"} - allowed:
        response = client.http.request(method, path)
        assert response.status_code == HTTPStatus.METHOD_NOT_ALLOWED
        assert set(response.headers["allow"].split(", ")) == allowed
        if method != "HEAD":
            assert_refusal(response)


@pytest.mark.parametrize("name", [name for name, endpoint in BY_ID.items() if endpoint.method == "GET"])
def test_head_answers_like_get_without_the_body(client: Client, name: str) -> None:
    person = client.caller(name)
    path = path_of(name, **{parameter: client.named(parameter, name) for parameter in parameters_of(name)})
    changing = {"date", "x-request-id", "ratelimit"}

    def are_alike() -> bool:
        get, head = (client.http.request(method, path, headers=person.auth) for method in ("GET", "HEAD"))
        assert head.status_code == get.status_code == 200
        assert head.content == b""
        shown = [{n: v for n, v in answer.headers.items() if n not in changing} for answer in (get, head)]
        return shown[0] == shown[1]

    wait_until(are_alike)  # what is answered may change between the two, as when a mail leaves
