"""The pages that links open: a GET uses nothing up, a POST does what the link is for, without any script."""

from collections.abc import Iterator

import httpx
import pytest

from tests.mails import mail_to
from tests.people import PASSWORD, sign_up, signed_in
from tests.server import NO_TLS, Server
from tests.sessions.beside import rows
from tests.verification.test_email_change import asked, email_of, other_address
from tests.verification.test_invite import invited
from tests.verification.test_reset import NEW, login_status, reset_token

PATHS = ("/verify-email", "/email/confirm", "/reset", "/invite")
TOKEN = "x" * 43


@pytest.fixture
def browser(server: Server) -> Iterator[httpx.Client]:
    """A client of the pages, which stand outside the API."""
    with httpx.Client(base_url=server.url, trust_env=False, verify=NO_TLS, timeout=60) as client:
        yield client


def headers_of_a_page(answer: httpx.Response) -> None:
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    policy = answer.headers["content-security-policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert "<script" not in answer.text
    assert " style=" not in answer.text


@pytest.mark.rule("HT-1")
@pytest.mark.any_engine
@pytest.mark.parametrize("path", PATHS)
def test_every_page_is_strict_and_shows_a_form_for_any_token(browser: httpx.Client, path: str) -> None:
    shown = browser.get(path, params={"token": TOKEN})
    assert shown.status_code == 200
    headers_of_a_page(shown)
    assert f'value="{TOKEN}"' in shown.text
    head = browser.head(path, params={"token": TOKEN})
    assert (head.status_code, head.content) == (200, b"")
    refused = browser.post(path, data={"token": TOKEN, "password": NEW, "username": "somebody"})
    assert refused.status_code == 400
    headers_of_a_page(refused)
    assert "not valid any more" in refused.text


@pytest.mark.any_engine
@pytest.mark.parametrize("path", PATHS)
def test_a_page_speaks_german_to_whom_reads_german(browser: httpx.Client, path: str) -> None:
    english = browser.get(path, params={"token": TOKEN})
    german = browser.get(path, params={"token": TOKEN}, headers={"Accept-Language": "de-DE,de;q=0.9,en;q=0.5"})
    assert '<html lang="en">' in english.text
    assert '<html lang="de">' in german.text
    for tag in ("h1", "p", "button"):
        ours, theirs = (page.text.partition(f"<{tag}")[2].partition(f"</{tag}>")[0] for page in (english, german))
        assert ours != theirs, f"<{tag}> is not translated"
    refused = browser.post(path, data={"token": TOKEN, "password": NEW}, headers={"Accept-Language": "de"})
    assert "nicht mehr gültig" in refused.text or "username" in refused.text


@pytest.mark.any_engine
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", ["", "?token=", "?token=a&token=b", f"?token={'x' * 129}", "?other=1"])
def test_a_link_that_was_cut_is_told_so(browser: httpx.Client, path: str, query: str) -> None:
    answer = browser.get(path + query)
    assert answer.status_code == 400
    headers_of_a_page(answer)
    assert "not complete" in answer.text
    assert "<form" not in answer.text


@pytest.mark.any_engine
def test_what_a_link_carries_is_shown_as_text(browser: httpx.Client) -> None:
    answer = browser.get("/reset", params={"token": '"><script>alert(1)</script>'})
    assert "<script" not in answer.text


@pytest.mark.rule("HT-4")
@pytest.mark.any_engine
def test_a_page_reads_its_own_form_and_nothing_else(browser: httpx.Client) -> None:
    assert browser.post("/reset", json={"token": TOKEN, "password": NEW}).status_code == 415
    assert browser.post("/reset", files={"token": b"x"}).status_code == 415
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"", b"token", b"token=a&token=b", b"token=%00", b"token=%ff", b"\xff=1", b"&".join([b"a=1"] * 30)):
        assert browser.post("/reset", content=body, headers=form).status_code == 400, body
    assert browser.post("/reset", content=b"token=" + b"x" * 70_000, headers=form).status_code == 413
    assert browser.post("/reset", data={"token": TOKEN}).status_code == 400
    assert browser.put("/reset").status_code == 405


@pytest.mark.any_engine
def test_the_style_sheet_is_kept_for_good_and_not_limited(browser: httpx.Client) -> None:
    page = browser.get("/reset", params={"token": TOKEN}).text
    path = page.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    style = browser.get(path)
    assert style.status_code == 200
    assert style.headers["content-type"].startswith("text/css")
    assert "immutable" in style.headers["cache-control"]


@pytest.mark.any_engine
@pytest.mark.rule("SU-4")
def test_mail_scanners_use_nothing_up(server: Server, client: httpx.Client, browser: httpx.Client) -> None:
    person = sign_up(client)
    link = mail_to(server.settings, person.email, "verify_address").link
    for _ in range(10):
        assert browser.get(link).status_code == 200
    assert browser.head(link).status_code == 200
    assert rows(server.settings, "SELECT email_verified_at FROM users WHERE id = ?", person.id) == [(None,)]
    path, _, token = link.partition("?token=")
    assert browser.post(path, data={"token": token}).status_code == 200
    [(verified_at,)] = rows(server.settings, "SELECT email_verified_at FROM users WHERE id = ?", person.id)
    assert verified_at is not None
    assert browser.post(path, data={"token": token}).status_code == 400


@pytest.mark.any_engine
@pytest.mark.rule("SU-4")
def test_every_page_does_what_its_link_is_for(server: Server, client: httpx.Client, browser: httpx.Client) -> None:
    person = signed_in(client)
    change = asked(server, client, person, other_address(person))
    assert browser.post("/email/confirm", data={"token": change.token}).status_code == 200
    assert email_of(server, person) == other_address(person)
    person.user["email"] = other_address(person)

    token = reset_token(server, client, person)
    weak = browser.post("/reset", data={"token": token, "password": "password123"})
    assert weak.status_code == 400
    assert f'value="{token}"' in weak.text, "and may be tried again"
    assert "password123" not in weak.text
    assert browser.post("/reset", data={"token": token, "password": NEW + " ü+&="}).status_code == 200
    assert login_status(client, person, NEW + " ü+&=") == 200

    invitation = invited(server, "page")
    taken = browser.post(
        "/invite", data={"token": invitation.token, "username": person.user["username"], "password": PASSWORD}
    )
    assert taken.status_code == 400
    assert "already taken" in taken.text
    name = f"page-{person.id}"
    done = browser.post("/invite", data={"token": invitation.token, "username": name, "password": PASSWORD})
    assert done.status_code == 200
    assert client.post("/auth/login", json={"email": invitation.to, "password": PASSWORD}).status_code == 200
