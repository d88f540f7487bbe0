"""People follow the links of their mails in a real browser, with scripts switched off and on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.mails import mail_to
from tests.parts.chromium import LAUNCH_ARGS, PATIENCE_MS, chromium
from tests.people import PASSWORD, sign_up, signed_in
from tests.server import Server
from tests.sessions.beside import rows
from tests.verification.test_email_change import asked, email_of, other_address
from tests.verification.test_invite import invited
from tests.verification.test_reset import NEW, login_status, reset_token

pytestmark = pytest.mark.any_engine

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium(), args=LAUNCH_ARGS) as browser,
    ):
        yield browser


@pytest.fixture(params=["with scripts", "without"])
def page(browser: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of the browser. Nothing may be asked of any other host, and no policy may be broken."""
    context = browser.new_context(base_url=server.url, java_script_enabled=request.param == "with scripts")
    with context.new_page() as page:
        page.set_default_timeout(PATIENCE_MS)
        complaints: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        yield page
        assert [text for text in complaints if "400" not in text] == []
        assert [url for url in asked if not url.startswith((server.url, "data:"))] == []
    context.close()


def press(page: Page, link: str, button: str, **fields: str) -> None:
    """Follow a link, fill the form in, press its button."""
    page.goto(link)
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " ").capitalize()).fill(value)
    page.get_by_role("button", name=button).click()


@pytest.mark.rule("HT-1", "SU-4")
def test_people_follow_their_links(server: Server, client: httpx.Client, page: Page) -> None:
    newcomer, person = sign_up(client), signed_in(client)
    press(page, mail_to(server.settings, newcomer.email, "verify_address").link, "Confirm")
    expect(page.get_by_role("status")).to_contain_text("is confirmed")
    assert "token" not in page.url
    [(verified_at,)] = rows(server.settings, "SELECT email_verified_at FROM users WHERE id = ?", newcomer.id)
    assert verified_at is not None

    press(page, asked(server, client, person, other_address(person)).link, "Use this address")
    expect(page.get_by_role("status")).to_contain_text("new e-mail address")
    assert email_of(server, person) == other_address(person)
    person.user["email"] = other_address(person)

    link = f"/reset?token={reset_token(server, client, person)}"
    press(page, link, "Set password", new_password="password123")
    expect(page.get_by_role("alert")).to_contain_text("password")
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("status")).to_contain_text("is set")
    assert login_status(client, person, NEW) == 200
    page.goto(link)
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("alert")).to_contain_text("not valid any more")

    with ThreadPoolExecutor(1) as apart:  # Playwright has an event loop in this thread
        invitation = apart.submit(invited, server, f"browser-{person.id}").result()
    press(page, invitation.link, "Create account", username=f"joined-{person.id}", new_password=PASSWORD)
    expect(page.get_by_role("status")).to_contain_text("is ready")
    assert client.post("/auth/login", json={"email": invitation.to, "password": PASSWORD}).status_code == 200
