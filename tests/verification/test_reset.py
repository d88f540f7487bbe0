"""A forgotten password: the mail, what its token does, and what ends with it."""

import httpx
import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.login.deactivation import deactivate_user
from ostiary.users.accounts import delete_user
from tests.api_keys.keys import made_key
from tests.mails import mail_to, mails, settled
from tests.people import PASSWORD, Person, bearer, log_in, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused, session_of
from tests.sessions.beside import rows, why_revoked, write
from tests.verification.test_verify import INVALID, ask, is_verified, verify

NEW = "another-Horse-battery-7"


def forgot(client: httpx.Client, email: str) -> None:
    answer = client.post("/auth/password/forgot", json={"email": email})
    assert (answer.status_code, answer.content) == (202, b"")


def reset(client: httpx.Client, token: str, password: str = NEW) -> httpx.Response:
    return client.post("/auth/password/reset", json={"token": token, "new_password": password})


def reset_token(server: Server, client: httpx.Client, person: Person) -> str:
    before = len(mails(server.settings, to=person.email, name="reset_password"))
    forgot(client, person.email)
    return mail_to(server.settings, person.email, "reset_password", number=before + 1).token


def login_status(client: httpx.Client, person: Person, password: str) -> int:
    return client.post("/auth/login", json={"email": person.email, "password": password}).status_code


@pytest.mark.rule("SU-4", "RC-2", "RC-3", "TK-7")
def test_a_reset_sets_the_password_and_ends_everything_the_old_one_opened(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    elsewhere = log_in(client, person)
    first_mail = mail_to(server.settings, person.email, "verify_address")
    key = bearer(made_key(client, person)["key"])
    assert client.get(f"/users/{person.id}", headers=key).status_code == 200
    token = reset_token(server, client, person)
    answer = reset(client, token)
    assert (answer.status_code, answer.content) == (204, b""), "nobody is logged in by it"
    for session in (person, elsewhere):
        assert_refused(client.get("/users", headers=session.auth))
        assert_refused(refresh(client, session.refresh_token))
        assert why_revoked(server.settings, session_of(session)) == "password_reset"
    assert_refused(client.get(f"/users/{person.id}", headers=key))
    assert login_status(client, person, PASSWORD) == 401
    assert login_status(client, person, NEW) == 200
    assert verify(client, first_mail.token).json() == INVALID, "no token outlives the password"
    notice = mail_to(server.settings, person.email, "password_changed")
    assert token not in notice.text + notice.html
    events = rows(
        server.settings, "SELECT event, actor_id FROM audit_log WHERE user_id = ? AND event LIKE 'password%'", person.id
    )
    assert sorted(events) == [("password_reset", person.id), ("password_reset_started", None)]


@pytest.mark.any_engine
@pytest.mark.rule("SU-4")
def test_a_reset_proves_the_address_as_well(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    assert reset(client, reset_token(server, client, person)).status_code == 204
    assert is_verified(client, Person(person.user, NEW))


@pytest.mark.any_engine
@pytest.mark.rule("PW-1", "PW-3", "SU-4")
def test_a_refused_password_leaves_the_token_good(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    token = reset_token(server, client, person)
    for password in ("short", "password123", person.user["username"], "x" * 257):
        assert reset(client, token, password).json()["code"] == "password_refused"
    assert client.get("/users/me", headers=person.auth).status_code == 200, "and ends nothing"
    assert mails(server.settings, to=person.email, name="password_changed") == []
    assert reset(client, token).status_code == 204


@pytest.mark.any_engine
@pytest.mark.rule("RC-1", "D1")
def test_who_cannot_have_it_gets_no_mail(server: Server, client: httpx.Client) -> None:
    inactive, gone = sign_up(client), sign_up(client)
    write(server.settings, deactivate_user, inactive.id, origin=OPERATOR, now=server.clock.now())
    write(server.settings, delete_user, gone.id, origin=OPERATOR, now=server.clock.now())
    for email in (inactive.email, gone.email, "nobody@example.com"):
        forgot(client, email)
    settled(server.settings)
    for email in (inactive.email, gone.email, "nobody@example.com"):
        assert mails(server.settings, to=email, name="reset_password") == []


@pytest.mark.rule("D1")
def test_who_was_deactivated_meanwhile_resets_nothing(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    token = reset_token(server, client, person)
    before = rows(server.settings, "SELECT password_hash FROM passwords WHERE user_id = ?", person.id)
    write(server.settings, deactivate_user, person.id, origin=OPERATOR, now=server.clock.now())
    assert reset(client, token).json() == INVALID
    assert rows(server.settings, "SELECT password_hash FROM passwords WHERE user_id = ?", person.id) == before


def test_a_user_without_a_password_gets_his_first_one_so(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    write(
        server.settings,
        lambda connection: connection.exec_driver_sql(f"DELETE FROM passwords WHERE user_id = {person.id}"),
    )
    assert reset(client, reset_token(server, client, person)).status_code == 204
    assert login_status(client, person, NEW) == 200


@pytest.mark.rule("SU-4")
def test_a_newer_link_voids_the_older_and_purposes_do_not_mix(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    verification = mail_to(server.settings, person.email, "verify_address").token
    first = reset_token(server, client, person)
    second = reset_token(server, client, person)
    ask(client, person.email)
    newer = mail_to(server.settings, person.email, "verify_address", number=2).token
    assert reset(client, first).json() == INVALID
    assert verify(client, verification).json() == INVALID
    assert verify(client, newer).status_code == 204
    assert reset(client, second).status_code == 204


@pytest.mark.any_engine
@pytest.mark.parametrize(
    "body",
    [{}, {"token": "x"}, {"new_password": NEW}, {"token": 1, "new_password": NEW}, {"token": "x", "new_password": 1}],
)
def test_what_is_no_reset_is_400(client: httpx.Client, body: object) -> None:
    answer = client.post("/auth/password/reset", json=body)
    assert answer.status_code == 400
    assert "code" not in answer.json()
