"""Proving an address: the mail of a sign-up, asking for another, and what its token does."""

import httpx
import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.login.deactivation import deactivate_user
from tests.mails import mail_to, mails, settled
from tests.people import Person, log_in, sign_up
from tests.server import Server
from tests.sessions.beside import rows, write

INVALID = {"detail": "This token is not valid (any more)", "code": "token_invalid"}


def is_verified(client: httpx.Client, person: Person) -> bool:
    answer = client.get("/users/me/profile", headers=log_in(client, person).auth)
    return bool(answer.json()["email_verified"])


def ask(client: httpx.Client, email: str, **headers: str) -> httpx.Response:
    answer = client.post("/auth/verify-email/request", json={"email": email}, headers=headers)
    assert (answer.status_code, answer.content) == (202, b"")
    return answer


def verify(client: httpx.Client, token: str) -> httpx.Response:
    return client.post("/auth/verify-email", json={"token": token})


@pytest.mark.rule("SU-4")
def test_a_sign_up_is_mailed_a_link_that_proves_its_address(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    mail = mail_to(server.settings, person.email, "verify_address")
    assert person.user["username"] in mail.text
    assert mail.link.startswith("/verify-email?")
    assert not is_verified(client, person)
    answer = verify(client, mail.token)
    assert (answer.status_code, answer.content) == (204, b"")
    assert is_verified(client, person)
    assert len(mails(server.settings, to=person.email)) == 1, "and no other mail"


@pytest.mark.rule("SU-4", "SU-6")
def test_a_newer_link_voids_the_older(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    first = mail_to(server.settings, person.email, "verify_address")
    ask(client, person.email.upper(), **{"Accept-Language": "de-AT, en;q=0.5"})
    second = mail_to(server.settings, person.email, "verify_address", number=2)
    assert second.subject != first.subject, "it is in the language of the request"
    assert verify(client, first.token).json() == INVALID
    assert verify(client, second.token).status_code == 204


@pytest.mark.any_engine
@pytest.mark.rule("SU-6")
def test_whoever_has_proven_his_address_gets_no_further_mail(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    verify(client, mail_to(server.settings, person.email, "verify_address").token)
    ask(client, person.email)
    settled(server.settings)
    assert len(mails(server.settings, to=person.email)) == 1


@pytest.mark.any_engine
@pytest.mark.rule("D1")
def test_who_is_deactivated_can_prove_nothing_and_gets_no_mail(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    token = mail_to(server.settings, person.email, "verify_address").token
    write(server.settings, deactivate_user, person.id, origin=OPERATOR, now=server.clock.now())
    assert verify(client, token).json() == INVALID
    ask(client, person.email)
    settled(server.settings)
    assert len(mails(server.settings, to=person.email)) == 1
    assert rows(server.settings, "SELECT email_verified_at FROM users WHERE id = ?", person.id) == [(None,)]


@pytest.mark.any_engine
@pytest.mark.parametrize("body", [{}, {"token": 1}, {"token": None}, {"token": ["x"]}, []])
def test_what_is_no_token_request_is_400(client: httpx.Client, body: object) -> None:
    assert client.post("/auth/verify-email", json=body).status_code == 400


@pytest.mark.any_engine
@pytest.mark.parametrize("token", ["", "x", "é" * 50, "\ud800", "a" * 60_000])
def test_what_is_no_token_of_ours_is_invalid(client: httpx.Client, token: str) -> None:
    body = f'{{"token": "{token}"}}'.encode("ascii", "backslashreplace") if token == "\ud800" else None
    answer = (
        client.post("/auth/verify-email", content=body, headers={"Content-Type": "application/json"})
        if body
        else client.post("/auth/verify-email", json={"token": token})
    )
    assert answer.status_code == 400
