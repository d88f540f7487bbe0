"""The reference as it is served, and as a browser shows it."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from ostiary.edge.headers import PAGE_POLICY
from tests.parts.chromium import LAUNCH_ARGS, PATIENCE_MS, chromium
from tests.reference.conformance import BY_ID, DOCUMENT, assert_refusal
from tests.reference.conftest import Started
from tests.server import NO_TLS, Server

expect.set_options(timeout=PATIENCE_MS)

TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (violation) =>
  console.error(`${violation.violatedDirective} forbids ${violation.blockedURI} in ${violation.sourceFile}`));
"""


def get(server: Server, path: str, method: str = "GET") -> httpx.Response:
    return httpx.request(method, f"{server.url}{path}", timeout=60, trust_env=False, verify=NO_TLS)


def assets_of(page: httpx.Response) -> list[str]:
    found: list[str] = re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text)
    assert len(found) == 5
    return [f"/{path}" for path in found]


@pytest.mark.rule("HT-6")
def test_where_the_reference_is_off_there_is_nothing(server: Server, started: Started) -> None:
    off = started(api_docs="off")
    for path in ("/docs", "/openapi.json", *assets_of(get(server, "/docs"))):
        response = get(off, path)
        assert response.status_code == 404
        assert_refusal(response)


@pytest.mark.rule("HT-6")
def test_it_is_off_where_others_reach_the_service_unless_asked_for(started: Started) -> None:
    outside = {"public_url": "https://accounts.example.com", "directory_visibility": "self"}
    assert get(started(**outside), "/docs").status_code == 404
    assert get(started(**outside, api_docs="on"), "/docs").status_code == 200


@pytest.mark.rule("HT-6")
@pytest.mark.parametrize("path", ["/version", "/debug", "/redoc", "/docs/", "/docs/oauth2-redirect", "/metrics"])
def test_nothing_else_of_that_kind_is_there(server: Server, path: str) -> None:
    assert get(server, path).status_code == 404


def test_the_document_is_served_with_the_page_s_own_server_first(server: Server) -> None:
    response = get(server, "/openapi.json")
    assert response.headers["content-type"] == "application/json"
    served = response.json()
    assert served.pop("servers") == [{"url": "/"}, {"url": server.settings.public_url}]
    assert served == DOCUMENT
    assert list(served["paths"]) == list(DOCUMENT["paths"])


@pytest.mark.rule("HT-1")
def test_the_page_is_under_the_policy_of_pages_and_has_no_code_of_its_own(server: Server) -> None:
    page = get(server, "/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == PAGE_POLICY
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(r"<script>|<style|style=|\son\w+=|//", page.text.removeprefix("<!DOCTYPE html>"))


def test_files_may_be_kept_for_good_because_their_path_changes_with_them(server: Server) -> None:
    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    for path in assets_of(get(server, "/docs")):
        response = get(server, path)
        assert response.status_code == 200
        assert response.headers["content-type"] == types[path.rpartition(".")[2]]
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert response.headers["x-content-type-options"] == "nosniff"
    licence = re.sub("[^/]+$", "swagger-ui-bundle.js.LICENSE.txt", path)
    assert "MIT" in get(server, licence).text


@pytest.mark.rule("RL-1")
def test_page_and_document_count_as_requests_and_files_do_not(server: Server) -> None:
    page = get(server, "/docs")
    assert "ratelimit" in page.headers
    assert "ratelimit" in get(server, "/openapi.json").headers
    for path in assets_of(page):
        assert "ratelimit" not in get(server, path).headers


def test_head_works_here_too(server: Server) -> None:
    for path in ("/docs", "/openapi.json", *assets_of(get(server, "/docs"))):
        head, whole = get(server, path, "HEAD"), get(server, path)
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["content-length"] == whole.headers["content-length"] == str(len(whole.content))


@pytest.fixture
def page(server: Server) -> Iterator[Page]:
    """A browser's page, which must have asked nobody but the server and complained about nothing."""
    complaints: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=LAUNCH_ARGS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(TELL_VIOLATIONS)
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        yield page
        browser.close()
    assert complaints == []
    assert asked
    assert [url for url in asked if not url.startswith((f"{server.url}/", "data:", "blob:"))] == []


@pytest.mark.rule("HT-1")
def test_a_browser_shows_every_operation_and_tries_one_out(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/docs")
    expect(page).to_have_title("Ostiary API")
    expect(page.locator(".opblock")).to_have_count(len(BY_ID))
    for name, endpoint in BY_ID.items():
        expect(page.locator(place_of(name))).to_contain_text(endpoint.summary)

    health = open_operation(page, "getHealth")
    answer = execute(health)
    expect(answer.locator("tbody .response-col_status")).to_have_text("200")
    expect(answer).to_contain_text('"database": "healthy"')


@pytest.mark.rule("HT-1")
def test_a_browser_signs_up_logs_in_and_lists_users(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/docs")
    answer = execute(open_operation(page, "createUser"))
    expect(answer.locator("tbody .response-col_status")).to_have_text("201")
    example = DOCUMENT["components"]["schemas"]["SignUpRequest"]["examples"][0]

    credentials = json.dumps({name: example[name] for name in ("email", "password")})
    answer = execute(open_operation(page, "login"), credentials)
    expect(answer.locator("tbody .response-col_status")).to_have_text("200")
    expect(answer).to_contain_text("access_token")
    token = re.search(r'"access_token": "([^"]+)"', answer.inner_text())
    assert token

    page.locator(".auth-wrapper").get_by_role("button", name="Authorize").click()
    dialog = page.locator(".dialog-ux")
    bearer = dialog.locator(".auth-container").filter(has_text="access_token").first
    bearer.get_by_role("textbox").fill(token[1])
    bearer.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").last.click()

    answer = execute(open_operation(page, "listUsers"))
    expect(answer.locator("tbody .response-col_status")).to_have_text("200")
    expect(answer).to_contain_text(example["email"])


@pytest.mark.rule("HT-1")
def test_a_browser_opens_operations_of_every_kind_and_schemas(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/docs")
    for name in {(endpoint.tag, endpoint.method): name for name, endpoint in BY_ID.items()}.values():
        operation = open_operation(page, name)
        expect(operation.locator(".responses-table")).to_contain_text("Internal server error")
        operation.locator(".opblock-summary-control").click()  # with all of them open the page is slow
    page.locator(".models button").first.click()
    expect(page.locator(".models")).to_contain_text("TokenPairOut")


def place_of(name: str) -> str:
    """Where the page has an operation."""
    return f"#operations-{BY_ID[name].tag.replace(' ', '_')}-{name}"


def open_operation(page: Page, name: str) -> Locator:
    operation = page.locator(place_of(name))
    operation.locator(".opblock-summary-control").click()
    return operation


def execute(operation: Locator, body: str | None = None) -> Locator:
    """Try an operation out; answer what is shown of the response."""
    operation.get_by_role("button", name="Try it out").click()
    if body is not None:
        operation.locator("textarea").fill(body)
    operation.get_by_role("button", name="Execute").click()
    return operation.locator(".live-responses-table")
