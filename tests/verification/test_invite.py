"""Invitations: made by whoever may, mailed, and accepted once."""

import secrets
from functools import partial
from typing import Any

import httpx
import pytest

from ostiary.audit.origin import OPERATOR, Origin
from ostiary.login.deactivation import deactivate_user
from ostiary.users.accounts import EmailTaken, UsernameTaken, delete_user
from ostiary.verification.invitations import invite
from tests.conftest import MakeServer
from tests.mails import Mail, mail_to, mails
from tests.people import PASSWORD, Person, newcomer, sign_up
from tests.roles.planted import plant_holder, plant_role
from tests.server import Server
from tests.sessions.answers import at_once
from tests.sessions.beside import rows, write
from tests.verification.test_verify import INVALID, is_verified


def send_invitation(server: Server, email: str, **facts: Any) -> None:
    """Invite somebody, as administration does."""
    facts = {"origin": OPERATOR, "by": "operator", "language": "en"} | facts
    write(server.settings, partial(invite, email=email, now=server.clock.now(), **facts), server.app)


def invited(server: Server, tag: str = "", **facts: Any) -> Mail:
    """Invite an address that nobody has; the mail that came to it."""
    email = f"invited-{tag}{secrets.token_hex(4)}@example.com"
    send_invitation(server, email, **facts)
    return mail_to(server.settings, email, "invitation")


def accept(client: httpx.Client, token: str, **members: Any) -> httpx.Response:
    body = {"token": token, "username": newcomer()["username"], "password": PASSWORD} | members
    return client.post("/auth/invite", json={name: value for name, value in body.items() if value is not None})


@pytest.mark.rule("SU-4")
def test_who_is_invited_joins_with_a_proven_address(server: Server, client: httpx.Client) -> None:
    mail = invited(server)
    assert "operator" in mail.text
    answer = accept(client, mail.token)
    assert answer.status_code == 201, answer.text
    user = answer.json()
    assert list(user) == ["id", "email", "username", "is_active", "is_superuser", "created_at", "updated_at"]
    assert (user["email"], user["is_active"], user["is_superuser"]) == (mail.to, True, False)
    assert is_verified(client, Person(user, PASSWORD))
    assert [each.name for each in mails(server.settings, to=mail.to)] == ["invitation"], "and nothing is to be proven"
    assert rows(server.settings, "SELECT id FROM invitations WHERE email = ?", mail.to) == []
    events = rows(server.settings, "SELECT event FROM audit_log WHERE user_id = ?", user["id"])
    assert ("invitation_accepted",) in events


@pytest.mark.any_engine
def test_a_proposed_name_may_be_taken_or_not(server: Server, client: httpx.Client) -> None:
    name = newcomer()["username"]
    mail = invited(server, username=name)
    assert name in mail.text
    assert accept(client, mail.token, username=None).json()["username"] == name
    assert (
        accept(client, invited(server, username=f"x{name}").token, username=f"y{name}").json()["username"] == f"y{name}"
    )
    assert accept(client, invited(server).token, username=None).status_code == 400


@pytest.mark.rule("SU-4")
def test_a_newer_invitation_voids_the_older(server: Server, client: httpx.Client) -> None:
    first = invited(server)
    send_invitation(server, first.to)
    second = mail_to(server.settings, first.to, "invitation", number=2)
    assert accept(client, first.token).json() == INVALID
    assert accept(client, second.token).status_code == 201


@pytest.mark.any_engine
def test_nobody_is_invited_to_what_is_taken(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    with pytest.raises(EmailTaken):
        send_invitation(server, person.email.upper())
    with pytest.raises(UsernameTaken):
        send_invitation(server, newcomer()["email"], username=person.user["username"].upper())
    assert mails(server.settings, to=person.email, name="invitation") == []


@pytest.mark.any_engine
def test_whatever_is_refused_leaves_the_invitation_good(server: Server, client: httpx.Client) -> None:
    mail, other = invited(server), sign_up(client)
    refused = [
        accept(client, mail.token, password="short"),
        accept(client, mail.token, username="no spaces"),
        accept(client, mail.token, username=other.user["username"].upper()),
    ]
    assert [answer.status_code for answer in refused] == [400, 400, 400]
    assert [answer.json().get("code") for answer in refused] == ["password_refused", None, "username_taken"]
    assert accept(client, mail.token).status_code == 201


def test_who_signed_up_meanwhile_joins_no_second_time(server: Server, client: httpx.Client) -> None:
    mail = invited(server)
    sign_up(client, email=mail.to.upper())
    answer = accept(client, mail.token)
    assert (answer.status_code, answer.json()["code"]) == (400, "email_taken")


@pytest.mark.rule("D1", "AD-6")
def test_an_invitation_is_void_without_whoever_made_it(server: Server, client: httpx.Client) -> None:
    for stop in (
        lambda person: write(server.settings, deactivate_user, person.id, origin=OPERATOR, now=server.clock.now()),
        lambda person: write(server.settings, delete_user, person.id, origin=OPERATOR, now=server.clock.now()),
    ):
        person = sign_up(client)
        mail = invited(server, origin=Origin(person.id, "127.0.0.1", "", ""), by=person.user["username"])
        stop(person)
        assert accept(client, mail.token).json() == INVALID


@pytest.mark.rule("AD-4")
@pytest.mark.any_engine
def test_promised_roles_are_given_as_far_as_whoever_promised_them_may(server: Server, client: httpx.Client) -> None:
    plant_role(server, "reader", "users:read", "roles:write")
    by = sign_up(client)
    plant_holder(server, by.id, "reader")
    origin = Origin(by.id, "127.0.0.1", "", "")
    first, second, gone = (invited(server, roles=["reader"], origin=origin) for _ in range(3))
    user = accept(client, first.token).json()
    held = "SELECT role FROM user_roles WHERE user_id = ?"
    assert rows(server.settings, held, user["id"]) == [("reader",)]
    write(
        server.settings,
        lambda connection: connection.exec_driver_sql(f"DELETE FROM user_roles WHERE user_id = {by.id}"),
    )
    assert accept(client, second.token).json() == INVALID, "he lacks it himself by now"
    plant_holder(server, by.id, "reader")
    write(server.settings, lambda connection: connection.exec_driver_sql("DELETE FROM user_roles"))
    write(server.settings, lambda connection: connection.exec_driver_sql("DELETE FROM roles"))
    assert accept(client, gone.token).json() == INVALID
    operators = invited(server, roles=[])
    assert accept(client, operators.token).status_code == 201


def test_two_invite_one_address_at_once(server: Server, client: httpx.Client) -> None:
    email = newcomer()["email"]
    at_once([lambda: send_invitation(server, email)] * 4)
    sent = [mail_to(server.settings, email, "invitation", number=number) for number in range(1, 5)]
    statuses = sorted(accept(client, mail.token).status_code for mail in sent)
    assert statuses == [201, 400, 400, 400]


@pytest.mark.any_engine
def test_sign_up_by_invitation_only(make_server: MakeServer) -> None:
    server = make_server(signup="invite")
    with server.client() as client:
        answer = client.post("/users", json=newcomer())
        assert (answer.status_code, answer.json()["code"]) == (403, "signup_closed")
        assert accept(client, invited(server).token).status_code == 201


@pytest.mark.any_engine
def test_closed_is_closed_for_the_invited_too(make_server: MakeServer) -> None:
    server = make_server()
    mail = invited(server)
    closed = make_server(like=server, signup="closed")
    with closed.client() as client:
        answer = accept(client, mail.token)
        assert (answer.status_code, answer.json()["code"]) == (403, "signup_closed")
    with server.client() as client:
        assert accept(client, mail.token).status_code == 201


@pytest.mark.any_engine
@pytest.mark.parametrize(
    "body", [{}, {"token": "x"}, {"token": "x", "password": 1}, {"token": "x", "password": PASSWORD, "username": 1}]
)
def test_what_is_no_acceptance_is_400(client: httpx.Client, body: object) -> None:
    answer = client.post("/auth/invite", json=body)
    assert answer.status_code == 400
    assert "code" not in answer.json()
