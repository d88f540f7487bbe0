import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from ostiary.counters import SlidingWindows, Verdict
from ostiary.edge.headers import API_POLICY, PAGE_HEADERS, PAGE_POLICY, Policy, SecurityHeaders, rate_limit_headers
from ostiary.problems import Forbidden, InvalidCredentials
from ostiary.web.render import json_response, problem_response


async def api(_request: Request) -> Response:
    return json_response({"name": "Zoë"})


async def page(_request: Request) -> Response:
    return Response("<p>", headers=PAGE_HEADERS, media_type="text/html")


async def static(_request: Request) -> Response:
    return Response("", headers={"Cache-Control": "public, max-age=60"})


async def fails(_request: Request) -> Response:
    raise RuntimeError


def get(path: str, *, https: bool = True) -> httpx.Response:
    handlers = {"/": api, "/page": page, "/static": static, "/fails": fails}
    inner = Starlette(routes=[Route(*item) for item in handlers.items()])
    headers = SecurityHeaders(https=https)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = headers.added_to(message["headers"])
            await send(message)

        await inner(scope, receive, send_secured)

    async def fetch() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path)

    return asyncio.run(fetch())


@pytest.mark.rule("HT-1")
@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/page", 200), ("/static", 200), ("/nowhere", 404), ("/fails", 500)]
)
def test_every_response_has_the_headers(path: str, status: int) -> None:
    response = get(path)
    assert response.status_code == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    names = [name.lower() for name, _ in response.headers.raw]
    assert len(names) == len(set(names))


@pytest.mark.rule("HT-1")
def test_the_api_loads_nothing_and_is_never_stored() -> None:
    headers = get("/").headers
    assert headers["content-security-policy"] == API_POLICY == "default-src 'none'; frame-ancestors 'none'"
    assert headers["cache-control"] == "no-store"


@pytest.mark.rule("HT-1")
def test_a_page_brings_its_own_policy_and_is_not_stored_either() -> None:
    headers = get("/page").headers
    assert headers["content-security-policy"] == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


@pytest.mark.rule("HT-1")
def test_what_may_be_stored_says_so_itself() -> None:
    assert get("/static").headers["cache-control"] == "public, max-age=60"


@pytest.mark.rule("HT-1")
def test_without_tls_no_browser_is_told_to_insist_on_it() -> None:
    assert "strict-transport-security" not in get("/", https=False).headers


@pytest.mark.rule("RL-1")
def test_limits_are_told_in_structured_form() -> None:
    address, user = Policy("address", 100, 60), Policy("user", 1000, 3600)
    assert rate_limit_headers([(address, Verdict(allowed=True, remaining=57, reset_seconds=12))]) == [
        (b"ratelimit-policy", b'"address";q=100;w=60'),
        (b"ratelimit", b'"address";r=57;t=12'),
    ]
    first = SlidingWindows(1000, 3600).hit("user", 3600.0)
    assert rate_limit_headers([(address, Verdict(allowed=False, remaining=0, reset_seconds=1)), (user, first)]) == [
        (b"ratelimit-policy", b'"address";q=100;w=60, "user";q=1000;w=3600'),
        (b"ratelimit", b'"address";r=0;t=1, "user";r=999;t=3660'),
    ]


def test_json_is_compact_utf8() -> None:
    response = get("/")
    assert response.content == '{"name":"Zoë"}'.encode()
    assert response.headers["content-type"] == "application/json"


@pytest.mark.rule("IN-2")
def test_a_refusal_shows_its_detail_and_code_and_headers_and_not_its_reason() -> None:
    refused = problem_response(Forbidden(reason="secret"))
    assert (refused.status_code, refused.body) == (403, b'{"detail":"Not allowed","code":"forbidden"}')
    unknown = problem_response(InvalidCredentials(reason="secret"))
    assert (unknown.status_code, unknown.body) == (401, b'{"detail":"Invalid authentication credentials"}')
    assert unknown.headers["www-authenticate"] == "Bearer"


@pytest.mark.rule("IN-2")
def test_even_an_unpaired_surrogate_can_be_answered() -> None:
    assert json_response({"detail": "\ud800é"}).body == b'{"detail":"\\ud800\\u00e9"}'
