"""The edge itself: headers on every answer, CORS, bodies that misbehave, and bytes that are no HTTP."""

import http.client
import itertools
import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from ostiary.edge.headers import API_POLICY, PAGE_POLICY
from ostiary.reference.routes import load_assets
from ostiary.users.models import User
from ostiary.web import body
from tests.people import Person, bearer, newcomer, signed_in
from tests.server import Server
from tests.web.conftest import MakeEdge

ORIGIN = "https://app.example.com"
POSTS = ["/users", "/auth/login", "/auth/refresh", "/setup"]
HEAD = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def fail(_: object) -> list[User]:
    raise RuntimeError("an inner secret at /srv/inner.py")


def every_answer(server: Server) -> Iterator[httpx.Response]:
    """One answer of each kind that there is."""
    asset = next(iter(load_assets().files))
    with server.client() as api:
        person: Person = signed_in(api)
        yield api.get("/users", headers=person.auth)
        yield api.head("/users", headers=person.auth)
        yield api.post("/users", json=newcomer())
        yield api.post("/users", json={})
        yield api.get("/users")
        yield api.get("/nowhere")
        yield api.put("/users")
        yield api.post("/users", content="x" * 70_000)
        yield api.post("/users", content="x")
        for path in (
            "/docs",
            "/openapi.json",
            "/.well-known/jwks.json",
            "/livez",
            f"/{load_assets().directory}/{asset}",
        ):
            yield api.get(f"{server.url}{path}")
        server.app.user_reads._run = fail
        yield api.get(f"/users/{person.id}", headers=person.auth)
        yield api.post("/auth/logout", headers=person.auth)
        while (answer := api.get("/nowhere")).status_code != 429:
            pass
        yield answer


@pytest.mark.rule("HT-1", "HT-6")
@pytest.mark.parametrize("https", [True, False], ids=["https", "http"])
def test_every_answer_carries_the_headers(make_edge: MakeEdge, *, https: bool) -> None:
    public = "https://id.example.com" if https else "http://localhost:8000"
    server = make_edge(
        public_url=public,
        directory_visibility="members",
        api_docs="on",
        rate_limit="on",
        rate_limit_per_address="30/60s",
    )
    answers = list(every_answer(server))
    seen = {answer.status_code for answer in answers}
    assert seen == {200, 201, 204, 400, 401, 404, 405, 413, 415, 429, 500}
    for answer in answers:
        headers, path = answer.headers, answer.url.path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"] == (PAGE_POLICY if path == "/docs" else API_POLICY)
        assert headers.get("Strict-Transport-Security") == ("max-age=31536000; includeSubDomains" if https else None)
        is_public = path.startswith(("/docs/", "/.well-known/"))
        assert headers["Cache-Control"].startswith("public" if is_public else "no-store")
        assert re.fullmatch(r"[0-9a-f]{16}", headers["X-Request-ID"])
        assert not {"server", "x-powered-by"} & set(headers)
        if answer.status_code >= 400:
            assert headers["Content-Type"] == "application/json"
            assert isinstance(answer.json()["detail"], str)
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == len(answers)


@pytest.mark.rule("FL-6", "IN-2")
def test_an_error_of_ours_says_nothing_and_ends_nothing(make_edge: MakeEdge) -> None:
    server = make_edge()
    with server.client() as api:
        person = signed_in(api)
        server.app.user_reads._run = fail
        for _ in range(3):
            answer = api.get(f"/users/{person.id}", headers=person.auth)
            assert answer.status_code == 500
            assert answer.content == b'{"detail":"Internal server error"}'
            assert "inner" not in repr(answer.headers.raw)
            assert api.get("/users", headers=person.auth).status_code == 200


@pytest.mark.rule("LA-1")
@pytest.mark.parametrize("trusted", ["127.0.0.1", "10.0.0.1", ""])
def test_a_request_id_is_taken_over_from_a_trusted_proxy_only(make_edge: MakeEdge, trusted: str) -> None:
    with make_edge(trusted_proxies=trusted).client() as api:
        for given in ("0123-abc.DEF_", "short", "x" * 129, "with space in it", "semi;colon;here"):
            taken = api.get("/health", headers={"X-Request-ID": given}).headers["X-Request-ID"]
            assert (taken == given) == (trusted == "127.0.0.1" and given == "0123-abc.DEF_")
            assert taken == given or re.fullmatch(r"[0-9a-f]{16}", taken)


@pytest.mark.in_memory
@pytest.mark.rule("HT-5")
def test_pages_of_listed_origins_may_read_every_answer_and_no_others(make_edge: MakeEdge) -> None:
    server = make_edge(cors_origins=ORIGIN, rate_limit="on", rate_limit_per_address="20/60s")
    with server.client() as api:
        person = signed_in(api)
    server.app.user_reads._run = fail
    for answer in every_answer_to(server, person, ORIGIN):
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Origin" in answer.headers["Vary"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    foreign = [f"{ORIGIN}.evil.example", f"{ORIGIN}:8443", "http://app.example.com", "null"]
    for origin in foreign:
        server.clock.advance(seconds=62)
        for answer in every_answer_to(server, person, origin):
            assert "Access-Control-Allow-Origin" not in answer.headers


def every_answer_to(server: Server, person: Person, origin: str) -> list[httpx.Response]:
    with server.client(headers={"Origin": origin}) as api:
        answers = [api.get("/users", headers=person.auth), api.get("/users"), api.get("/nowhere")]
        answers += [api.put("/users"), api.post("/users", json={}), api.get("/health")]
        answers.append(api.get(f"/users/{person.id}", headers=person.auth))
        answers += [api.get("/nowhere") for _ in range(20)]
        assert {answer.status_code for answer in answers} == {200, 400, 401, 404, 405, 429, 500}
    return answers


@pytest.mark.rule("HT-5")
def test_a_preflight_is_granted_to_listed_origins_only(make_edge: MakeEdge) -> None:
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    with make_edge(cors_origins=f"{ORIGIN},https://two.example.com").client() as api:
        for origin in (ORIGIN, "https://two.example.com"):
            granted = api.options("/auth/login", headers=wanted | {"Origin": origin})
            assert granted.status_code == 200
            assert granted.headers["Access-Control-Allow-Origin"] == origin
            assert "POST" in granted.headers["Access-Control-Allow-Methods"]
            assert "Authorization" in granted.headers["Access-Control-Allow-Headers"]
            assert "Access-Control-Allow-Credentials" not in granted.headers
        refused = api.options("/auth/login", headers=wanted | {"Origin": "https://evil.example"})
        assert refused.status_code == 400
        assert "Access-Control-Allow-Origin" not in refused.headers
    with make_edge().client() as api:
        none = api.options("/auth/login", headers=wanted | {"Origin": ORIGIN})
        assert none.status_code == 405
        assert not [name for name in none.headers if name.startswith("access-control-")]


@pytest.mark.rule("HT-4")
def test_only_json_is_a_body(make_edge: MakeEdge) -> None:
    kinds = [
        None,
        "",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "text/json",
    ]
    with make_edge().client() as api:
        for path, kind in itertools.product(POSTS, kinds):
            answer = api.post(path, content=b"{}", headers={} if kind is None else {"Content-Type": kind})
            assert (path, kind, answer.status_code) == (path, kind, 415)
        for path in POSTS:
            assert api.post(path, files={"file": b"x"}, data={"email": "a@example.com"}).status_code == 415


@pytest.mark.rule("HT-6")
@pytest.mark.parametrize(
    "path", ["/version", "/debug", "/metrics", "/redoc", "/trace", "/env", "/info", "/console", "/docs/../app.py"]
)
def test_there_is_nothing_to_look_inside(make_edge: MakeEdge, path: str) -> None:
    server = make_edge(public_url="https://id.example.com", directory_visibility="self")
    with server.client() as api:
        for url in (path, f"{server.url}{path}", f"{server.url}/docs", f"{server.url}/openapi.json"):
            assert api.get(url).json() == {"detail": "Resource not found"}


@pytest.mark.rule("IN-1")
def test_a_body_that_is_slow_too_large_or_lies_is_refused_and_others_go_on(
    make_edge: MakeEdge, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = body.read_json.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "timeout_seconds", 0.3)
    server = make_edge()
    for sent, status in [
        (HEAD + b"Content-Length: 10\r\n\r\n{", 408),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", 408),
        (HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n{", 400),
        (HEAD + b"Content-Length: 100000\r\n\r\n{", 413),
        (HEAD + b"Content-Length: -1\r\n\r\n{}", 400),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\nConnection: close\r\n\r\n{}", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}", 400),
        (
            HEAD
            + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n"
            + b"x" * 70_000
            + b"\r\n0\r\n\r\n",
            413,
        ),
    ]:
        got = exchange(server, sent)
        assert got.startswith(b"HTTP/1.1 %d " % status), (sent[:120], got)
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        for content, status in (
            (b"{", 400),
            (b"x" * 70_000, 413),
            (b'{"email":"a","password":"b"}', 401),
            (b"[]", 400),
        ):
            connection.request("POST", "/api/v1/auth/login", content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            assert response.status == status
            assert json.load(response)["detail"]


def exchange(server: Server, sent: bytes) -> bytes:
    """Send bytes, and answer what comes back until the server closes; nothing, where it cuts the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        try:
            connection.sendall(sent)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:
            return b""


GET = b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
STRANGE = {
    "garbage": b"\x00\xff\xfe\x80 nonsense\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "unknown method": b"NONSENSE / HTTP/1.1\r\n\r\n",
    "CONNECT": b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "whole URL": GET % b"http://evil.example/api/v1/nowhere",
    "NUL in the path": GET % b"/api/v1/users/%00",
    "NUL alone": GET % b"/%00",
    "raw NUL": GET % b"/\x00",
    "no UTF-8": GET % b"/api/v1/%ff%fe",
    "half an escape": GET % b"/api/v1/users/%",
    "encoded slash": GET % b"/api/v1%2fnowhere",
    "dots": GET % b"/api/v1/../../../etc/passwd",
    "long path": GET % (b"/" + b"x" * 60_000),
    "long query": GET % (b"/api/v1/nowhere?" + b"x=1&" * 15_000),
    "huge header": b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n",
    "many headers": b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"X-A: a\r\n" * 5_000 + b"\r\n",
    "no UTF-8 in headers": b"GET /api/v1/users HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\nX-A: \xff\r\n\r\n",
    "upgrade": b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.rule("IN-2")
def test_no_bytes_are_an_error_of_ours(make_edge: MakeEdge) -> None:
    server = make_edge()
    with server.client() as api:
        person = signed_in(api)
        for name, sent in STRANGE.items():
            got = exchange(server, sent)
            assert re.match(rb"HTTP/1.1 4\d\d ", got) or not got, (name, got[:300])
            assert api.get("/health").status_code == 200, name
        for path in ("%00", "1%00", "%ff", "%F0%9F%98%80", "1%2F", "9" * 5000, "%2e%2e"):
            for headers in (person.auth, bearer("nonsense")):
                assert api.get(f"/users/{path}", headers=headers).status_code in {400, 401, 404}, path
