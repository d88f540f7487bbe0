"""What is checked first answers: the contract's order, from the address limit to visibility."""

from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest
from starlette.routing import Route

from tests.conftest import settings_for_tests
from tests.login.inside import promote
from tests.people import Person, bearer, log_in, newcomer, sign_up, signed_in
from tests.server import Server
from tests.sessions.waiting import wait_until
from tests.web.conftest import MakeEdge

REFUSED = {"detail": "Invalid authentication credentials"}
NOT_FOUND = {"detail": "Resource not found"}
NOT_ALLOWED = {"detail": "Method not allowed"}

BAD = {
    "garbage": ["Bearer nonsense"],
    "no scheme": ["nonsense"],
    "no token": ["Bearer"],
    "empty": [""],
    "Basic": ["Basic dXNlcjpwYXNzd29yZA=="],
    "Digest": ["Digest {access}"],
    "a refresh token": ["Bearer {refresh}"],
    "cut short": ["Bearer {access_cut}"],
    "more after it": ["Bearer {access} x"],
    "two in one": ["Bearer {access}, Bearer {access}"],
    "two, both good": ["Bearer {access}", "Bearer {access}"],
    "good, then bad": ["Bearer {access}", "Bearer nonsense"],
    "bad, then good": ["Basic nonsense", "Bearer {access}"],
}


class Asked(NamedTuple):
    """A request, and what it is answered without a token, and with a good one. A bad one always means 401."""

    method: str
    path: str
    without: int
    signed_in: int


ASKED = [
    Asked("GET", "/api/v1/nowhere", 404, 404),
    Asked("POST", "/api/v1/nowhere", 404, 404),
    Asked("GET", "/", 404, 404),
    Asked("GET", "/api/v1", 404, 404),
    Asked("GET", "/users", 404, 404),
    Asked("GET", "/api/v1/users/", 404, 404),
    Asked("POST", "/api/v1/users/", 404, 404),
    Asked("GET", "/api/v1/users/1/", 404, 404),
    Asked("POST", "/api/v1/auth/login/", 404, 404),
    Asked("GET", "/api/v1/health/", 404, 404),
    Asked("GET", "/api/v1/auth/login", 405, 405),
    Asked("PUT", "/api/v1/users", 405, 405),
    Asked("PUT", "/api/v1/users/1", 405, 405),
    Asked("PUT", "/api/v1/users/abc", 405, 405),
    Asked("OPTIONS", "/api/v1/users", 405, 405),
    Asked("PROPFIND", "/api/v1/users/1", 405, 405),
    Asked("GET", "/api/v1/auth/logout", 405, 405),
    Asked("POST", "/api/v1/auth/login", 415, 415),
    Asked("POST", "/api/v1/auth/refresh", 415, 415),
    Asked("POST", "/api/v1/users", 415, 415),
    Asked("POST", "/api/v1/setup", 415, 415),
    Asked("GET", "/api/v1/users", 401, 200),
    Asked("HEAD", "/api/v1/users", 401, 200),
    Asked("GET", "/api/v1/users?skip=x", 401, 400),
    Asked("GET", "/api/v1/users?limit=0", 401, 400),
    Asked("GET", "/api/v1/users/{own_id}", 401, 200),
    Asked("HEAD", "/api/v1/users/{own_id}", 401, 200),
    Asked("GET", "/api/v1/users/{other_id}", 401, 404),  # visibility is `self` here
    Asked("GET", "/api/v1/users/{other_id}x", 401, 400),
    Asked("GET", "/api/v1/users/abc", 401, 400),
    Asked("GET", "/api/v1/users/999999999999999999999", 401, 404),
    Asked("PATCH", "/api/v1/users/{own_id}", 401, 403),
    Asked("PATCH", "/api/v1/users/abc", 401, 403),
    Asked("DELETE", "/api/v1/users/{other_id}", 401, 403),
    Asked("GET", "/api/v1/users/{other_id}/sessions", 401, 403),
    Asked("DELETE", "/api/v1/users/{other_id}/sessions", 401, 403),
    Asked("GET", "/.well-known/jwks.json", 200, 200),
    Asked("GET", "/docs", 200, 200),
    Asked("GET", "/openapi.json", 200, 200),
]

PROBES = ["/api/v1/health", "/livez", "/readyz"]

METHODS = {
    "/api/v1/health": "GET, HEAD",
    "/api/v1/users": "GET, HEAD, POST",
    "/api/v1/users/1": "DELETE, GET, HEAD, PATCH",
    "/api/v1/users/abc": "DELETE, GET, HEAD, PATCH",
    "/api/v1/auth/login": "POST",
    "/api/v1/auth/refresh": "POST",
    "/api/v1/auth/logout": "POST",
    "/api/v1/auth/logout-all": "POST",
    "/api/v1/setup": "POST",
    "/.well-known/jwks.json": "GET, HEAD",
    "/livez": "GET, HEAD",
    "/readyz": "GET, HEAD",
}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(settings_for_tests(tmp_path_factory.mktemp("edge"), None, directory_visibility="self")) as running:
        yield running


@pytest.fixture(scope="module")
def api(edge: Server) -> Iterator[httpx.Client]:
    with edge.client() as client:
        yield client


@pytest.fixture(scope="module")
def root(edge: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=edge.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def person(api: httpx.Client) -> Person:
    return signed_in(api)


@pytest.fixture(scope="module")
def other(api: httpx.Client) -> Person:
    return sign_up(api)


def filled(asked: Asked, person: Person, other: Person) -> str:
    return asked.path.format(own_id=person.id, other_id=other.id)


def authorization(kind: str, person: Person) -> httpx.Headers:
    cut = person.access_token[:-5]
    values = [
        value.format(access=person.access_token, access_cut=cut, refresh=person.refresh_token) for value in BAD[kind]
    ]
    return httpx.Headers([("Authorization", value) for value in values])


def shows_refusal(answer: httpx.Response) -> bool:
    return (
        answer.status_code == 401
        and answer.headers["WWW-Authenticate"] == "Bearer"
        and answer.headers["Content-Type"] == "application/json"
        and (answer.request.method == "HEAD" or answer.json() == REFUSED)
    )


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: f"{asked.method} {asked.path}")
def test_what_is_wrong_first_is_what_is_said(
    root: httpx.Client, person: Person, other: Person, *, asked: Asked
) -> None:
    path = filled(asked, person, other)
    without = root.request(asked.method, path)
    assert without.status_code == asked.without
    assert without.status_code != 401 or shows_refusal(without)
    signed = root.request(asked.method, path, headers=person.auth)
    assert signed.status_code == asked.signed_in
    assert shows_refusal(root.request(asked.method, path, headers=bearer("nonsense")))
    for answer in (without, signed):
        said = {404: NOT_FOUND, 405: NOT_ALLOWED}.get(answer.status_code)
        assert said is None or answer.json() == said
        assert ("Allow" in answer.headers) == (answer.status_code == 405)


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/users"),
        ("GET", "/users/abc"),
        ("GET", "/nowhere"),
        ("PUT", "/users"),
        ("POST", "/auth/login"),
        ("POST", "/auth/logout"),
    ],
)
def test_every_kind_of_bad_token_is_refused_wherever_it_is_shown(
    api: httpx.Client, person: Person, kind: str, method: str, path: str
) -> None:
    assert shows_refusal(api.request(method, path, headers=authorization(kind, person)))
    assert api.get("/users", headers=person.auth).status_code == 200, "and none of that ended the session"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_name_of_the_scheme_is_read_in_any_case(api: httpx.Client, person: Person, scheme: str) -> None:
    assert api.get("/users", headers={"Authorization": f"{scheme} {person.access_token}"}).status_code == 200


def test_a_bad_token_keeps_public_endpoints_from_doing_anything(api: httpx.Client) -> None:
    person, body, bad = signed_in(api), newcomer(), bearer("nonsense")
    login = {"email": person.email, "password": person.password}
    assert shows_refusal(api.post("/auth/login", json=login, headers=bad))
    assert shows_refusal(api.post("/users", json=body, headers=bad))
    assert shows_refusal(api.post("/auth/refresh", json={"refresh_token": person.refresh_token}, headers=bad))
    assert api.post("/users", json=body).status_code == 201, "the first one created nobody"
    assert api.post("/auth/refresh", json={"refresh_token": person.refresh_token}).status_code == 200


def test_public_endpoints_work_with_a_good_token_too(api: httpx.Client, person: Person) -> None:
    body = newcomer()
    assert api.post("/users", json=body, headers=person.auth).status_code == 201
    login = {"email": body["email"], "password": body["password"]}
    assert api.post("/auth/login", json=login, headers=person.auth).status_code == 200


def test_a_bad_token_is_refused_before_a_body_is_read(api: httpx.Client) -> None:
    bad = bearer("nonsense") | {"Content-Type": "text/plain"}
    for content in (b"{", b"x" * 100_000):
        assert shows_refusal(api.post("/users", content=content, headers=bad))


@pytest.mark.parametrize("path", PROBES)
def test_probes_look_at_no_token(root: httpx.Client, person: Person, path: str) -> None:
    for kind in BAD:
        headers = authorization(kind, person)
        assert root.get(path, headers=headers).status_code == 200
        assert root.post(path, headers=headers).status_code == 405


@pytest.mark.parametrize(("path", "methods"), METHODS.items())
def test_allow_names_every_method_of_the_path(api: httpx.Client, root: httpx.Client, path: str, methods: str) -> None:
    person = signed_in(api)
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        answer = root.request(method, path, headers=person.auth | {"Content-Type": "text/plain"})
        if path.startswith("/api/v1/auth/logout") and method == "POST":
            person = log_in(api, person)
        assert (answer.status_code == 405) == (method not in methods.split(", "))
        if answer.status_code == 405:
            assert answer.headers["Allow"] == methods
            assert method == "HEAD" or answer.json() == NOT_ALLOWED


def test_head_answers_as_get_does_but_for_the_body(edge: Server, api: httpx.Client, root: httpx.Client) -> None:
    person = signed_in(api)
    promote(edge, person)
    role = f"role-{person.id}"
    answer = api.post("/roles", json={"name": role, "description": "", "permissions": []}, headers=person.auth)
    assert answer.status_code == 201
    routes = [route for route in edge.application.routes if isinstance(route, Route) and "GET" in (route.methods or ())]
    assert len(routes) > 6
    for route in routes:
        path = route.path.replace("{user_id}", str(person.id)).replace("{name}", role)

        def are_alike(path: str = path) -> bool:
            got, head = (
                root.request(method, path, headers=person.auth, params={"token": "a page wants one"})
                for method in ("GET", "HEAD")
            )
            assert got.status_code == head.status_code < 500, path
            assert got.content
            assert not head.content
            for headers in (got.headers, head.headers):
                headers.pop("date")
                headers.pop("x-request-id")
            return head.headers == got.headers

        wait_until(are_alike)  # what is answered may change between the two, as when a mail leaves


@pytest.mark.rule("RL-1")
def test_limits_come_before_whatever_is_wrong_next(make_edge: MakeEdge) -> None:
    server = make_edge(rate_limit="on", rate_limit_per_address="6/60s", rate_limit_per_user="2/60s")
    anything = [("GET", "/users"), ("GET", "/users/abc"), ("GET", "/nowhere"), ("PUT", "/users"), ("POST", "/users")]
    with server.client() as api:
        person = signed_in(api)
        for _ in range(2):
            assert api.get("/users", headers=person.auth).status_code == 200
        server.clock.advance(seconds=30)
        assert shows_refusal(api.get("/users", headers=bearer("nonsense")))
        refused = api.get("/nowhere", headers=person.auth)
        assert refused.status_code == 429
        assert '"user"' in refused.headers["RateLimit"], "the limit of the user comes before path and method"
        for headers in ({}, person.auth, bearer("nonsense")):
            for method, path in anything:
                refused = api.request(method, path, headers=headers)
                assert refused.status_code == 429
                assert refused.json() == {"detail": "Rate limit exceeded"}
                assert '"user"' not in refused.headers["RateLimit"], "the limit of the address comes before the token"


@pytest.mark.rule("RL-1")
def test_a_users_limit_comes_between_his_token_and_the_path(make_edge: MakeEdge) -> None:
    server = make_edge(rate_limit="on", rate_limit_per_address="1000/60s", rate_limit_per_user="1/60s")
    with server.client() as api:
        person = signed_in(api)
        assert api.get("/users", headers=person.auth).status_code == 200
        for method, path in [
            ("GET", "/nowhere"),
            ("PUT", "/users"),
            ("GET", "/users/abc"),
            ("POST", "/users"),
            ("POST", "/auth/login"),
        ]:
            assert api.request(method, path, headers=person.auth).status_code == 429
            assert shows_refusal(api.request(method, path, headers=bearer("nonsense")))
        assert api.get("/nowhere").status_code == 404
        assert api.get("/health", headers=person.auth).status_code == 200
