"""Sign-up in privacy: an address that is taken is answered like a new one, and its owner is told (SU-3)."""

import httpx
import pytest

from tests.conftest import MakeServer
from tests.mails import mail_to, mails, settled
from tests.people import newcomer, patiently, sign_up, signed_in
from tests.sessions.answers import at_once
from tests.sessions.beside import rows
from tests.verification.test_email_change import ask_change

pytestmark = pytest.mark.rule("SU-3")


def shape(answer: httpx.Response) -> tuple[int, list[str], list[str]]:
    """All that does not follow from what was sent or from the moment."""
    names = sorted(name for name in answer.headers if name not in {"date", "x-request-id", "content-length"})
    return answer.status_code, names, list(answer.json())


def test_a_taken_address_is_answered_like_a_new_one_and_its_owner_is_told(make_server: MakeServer) -> None:
    server = make_server(signup_privacy="on")
    with server.client() as client:
        owner = sign_up(client)
        before = rows(server.settings, "SELECT count(*) FROM users")
        wanted = newcomer(email=owner.email.upper())
        answer = client.post("/users", json=wanted)
        other = client.post("/users", json=newcomer())
        assert shape(answer) == shape(other)
        user = answer.json()
        assert (user["email"], user["username"]) == (
            owner.email.upper().replace("EXAMPLE.COM", "example.com"),
            wanted["username"],
        )
        assert [owner.id + 1, owner.id + 2] == [user["id"], other.json()["id"]], "an id is drawn and burnt"
        assert before == [(1,)]
        assert rows(server.settings, "SELECT id FROM users ORDER BY id") == [(owner.id,), (owner.id + 2,)]
        login = {"email": owner.email, "password": wanted["password"] + "x"}
        assert client.post("/auth/login", json=login).status_code == 401
        me = signed_in(client)
        assert client.get("/users", headers=me.auth).json()["total"] == 3
        assert client.get(f"/users/{user['id']}", headers=me.auth).status_code == 404
        told = mail_to(server.settings, owner.email, "address_taken")
        assert owner.user["username"] in told.text
        assert wanted["username"] not in told.text
        settled(server.settings)
        assert {mail.name for mail in mails(server.settings, to=owner.email)} == {"verify_address", "address_taken"}
        events = rows(server.settings, "SELECT event FROM audit_log WHERE user_id = ?", owner.id)
        assert ("signup_address_taken",) in events


def test_names_tell_nothing_either(make_server: MakeServer) -> None:
    server = make_server(signup_privacy="on")
    with server.client() as client:
        owner = signed_in(client)
        taken = client.post("/users", json=newcomer(email=owner.email, username=owner.user["username"].upper()))
        assert (taken.status_code, taken.json()["code"]) == (400, "username_taken")
        pretended, real = newcomer(email=owner.email), newcomer()
        for body in (pretended, real):
            assert client.post("/users", json=body).status_code == 201
            again = client.post("/users", json=newcomer(username=body["username"].upper()))
            assert (again.status_code, again.json()["code"]) == (400, "username_taken"), "whoever got it"
            renamed = client.patch("/users/me", json={"username": body["username"]}, headers=owner.auth)
            assert (renamed.status_code, renamed.json()["code"]) == (400, "username_taken")


def test_many_who_want_one_address_at_once_are_all_answered_alike(make_server: MakeServer) -> None:
    server = make_server(signup_privacy="on")
    with server.client() as client:
        email = newcomer()["email"]
        answers = at_once([lambda: patiently(lambda: client.post("/users", json=newcomer(email=email)))] * 6)
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == 6
    assert rows(server.settings, "SELECT count(*) FROM users WHERE email_key = ?", email) == [(1,)]


@pytest.mark.any_engine
@pytest.mark.rule("SU-6")
def test_an_owner_is_not_flooded(make_server: MakeServer) -> None:
    server = make_server(signup_privacy="on")
    with server.client() as client:
        owner = sign_up(client)
        for _ in range(5):
            assert client.post("/users", json=newcomer(email=owner.email)).status_code == 201
        settled(server.settings)
    assert len(mails(server.settings, to=owner.email, name="address_taken")) == 3


@pytest.mark.any_engine
def test_a_change_to_a_taken_address_is_answered_like_any_other(make_server: MakeServer) -> None:
    server = make_server(signup_privacy="on")
    with server.client() as client:
        person, owner = signed_in(client), sign_up(client)
        settled(server.settings)
        before = len(mails(server.settings, to=owner.email))
        assert ask_change(client, person, owner.email).status_code == 202
        settled(server.settings)
        assert len(mails(server.settings, to=owner.email)) == before


@pytest.mark.any_engine
def test_by_contract_a_taken_address_is_refused(client: httpx.Client) -> None:
    owner = sign_up(client)
    answer = client.post("/users", json=newcomer(email=owner.email))
    assert (answer.status_code, answer.json()["code"]) == (400, "email_taken")
