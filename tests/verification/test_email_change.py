"""Another address: asked for by whoever has just proven himself, proven by the new one, told to the old one."""

from functools import partial

import httpx
import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.login.deactivation import deactivate_user
from tests.mails import Mail, mail_to, mails, settled
from tests.people import Person, newcomer, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.aged import age
from tests.sessions.answers import at_once
from tests.sessions.beside import rows, write
from tests.verification.test_reset import reset, reset_token
from tests.verification.test_verify import INVALID, is_verified, verify


def other_address(person: Person) -> str:
    return f"new-{person.email}"


def ask_change(client: httpx.Client, person: Person, new_email: str) -> httpx.Response:
    return client.post("/users/me/email", json={"new_email": new_email}, headers=person.auth)


def confirm(client: httpx.Client, token: str) -> httpx.Response:
    return client.post("/auth/email/confirm", json={"token": token})


def asked(server: Server, client: httpx.Client, person: Person, new_email: str) -> Mail:
    """Ask for a change; the mail that came to the new address."""
    before = len(mails(server.settings, to=new_email, name="confirm_new_address"))
    answer = ask_change(client, person, new_email)
    assert (answer.status_code, answer.content) == (202, b""), answer.text
    return mail_to(server.settings, new_email, "confirm_new_address", number=before + 1)


def email_of(server: Server, person: Person) -> str:
    [(email,)] = rows(server.settings, "SELECT email FROM users WHERE id = ?", person.id)
    return str(email)


@pytest.mark.rule("SU-7", "SU-4", "MF-4")
def test_an_address_changes_once_the_new_one_is_proven_and_the_old_one_is_told(
    server: Server, client: httpx.Client
) -> None:
    person = signed_in(client)
    first = mail_to(server.settings, person.email, "verify_address")
    mail = asked(server, client, person, other_address(person))
    told = mail_to(server.settings, person.email, "address_change_asked")
    assert mail.token not in told.text + told.html
    assert email_of(server, person) == person.email, "nothing has changed yet"

    answer = confirm(client, mail.token)
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get("/users/me", headers=person.auth).json()["email"] == other_address(person)
    notice = mail_to(server.settings, person.email, "address_changed")
    assert other_address(person) not in notice.text, "whoever reads the old mailbox cannot write to the new one"
    assert refresh(client, person.refresh_token).status_code == 200, "sessions stay"
    assert client.post("/auth/login", json={"email": person.email, "password": person.password}).status_code == 401
    renamed = Person(person.user | {"email": other_address(person)}, person.password)
    assert is_verified(client, renamed)
    assert verify(client, first.token).json() == INVALID, "what was mailed to the old address is void"
    events = rows(server.settings, "SELECT event FROM audit_log WHERE user_id = ? AND event LIKE 'email%'", person.id)
    assert sorted(event for (event,) in events) == ["email_change_started", "email_changed"]


@pytest.mark.any_engine
@pytest.mark.rule("SU-7")
def test_a_reset_link_to_the_old_address_is_void(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    token = reset_token(server, client, person)
    assert confirm(client, asked(server, client, person, other_address(person)).token).status_code == 204
    assert reset(client, token).json() == INVALID


@pytest.mark.any_engine
@pytest.mark.rule("PW-7", "SU-4")
def test_a_new_password_voids_a_pending_change(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    mail = asked(server, client, person, other_address(person))
    assert reset(client, reset_token(server, client, person)).status_code == 204
    assert confirm(client, mail.token).json() == INVALID
    assert email_of(server, person) == person.email


def test_the_latest_wish_counts(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    first = asked(server, client, person, other_address(person))
    second = asked(server, client, person, f"x{other_address(person)}")
    assert confirm(client, first.token).json() == INVALID
    assert confirm(client, second.token).status_code == 204
    assert email_of(server, person) == f"x{other_address(person)}"


def test_another_spelling_of_ones_own_address_is_an_address_too(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    spelled = person.email.replace("user", "USER", 1)
    assert confirm(client, asked(server, client, person, spelled).token).status_code == 204
    assert email_of(server, person) == spelled


@pytest.mark.any_engine
@pytest.mark.rule("MF-4")
def test_an_old_session_cannot_ask(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    age(server, person)
    answer = ask_change(client, person, other_address(person))
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")
    settled(server.settings)
    assert mails(server.settings, to=other_address(person)) == []


@pytest.mark.any_engine
@pytest.mark.rule("D1")
def test_who_was_deactivated_meanwhile_changes_nothing(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    mail = asked(server, client, person, other_address(person))
    write(server.settings, deactivate_user, person.id, origin=OPERATOR, now=server.clock.now())
    assert confirm(client, mail.token).json() == INVALID
    assert email_of(server, person) == person.email


@pytest.mark.rule("SU-1", "SU-7")
def test_an_address_that_is_taken_is_refused_when_asked_for_and_when_proven(
    server: Server, client: httpx.Client
) -> None:
    person, other = signed_in(client), sign_up(client)
    taken = ask_change(client, person, other.email.upper())
    assert (taken.status_code, taken.json()["code"]) == (400, "email_taken")
    mail = asked(server, client, person, other_address(person))
    sign_up(client, email=other_address(person).upper())
    late = confirm(client, mail.token)
    assert (late.status_code, late.json()["code"]) == (400, "email_taken")
    assert email_of(server, person) == person.email
    assert mails(server.settings, to=person.email, name="address_changed") == []


@pytest.mark.rule("SU-1", "SU-7")
def test_of_many_who_want_an_address_at_once_one_gets_it(server: Server, client: httpx.Client) -> None:
    people = [signed_in(client) for _ in range(4)]
    wanted = f"wanted-{people[0].email}"
    tokens = [asked(server, client, person, wanted).token for person in people[:3]]
    calls = [partial(confirm, client, token) for token in tokens]
    calls.append(partial(client.post, "/users", json=newcomer(email=wanted)))
    statuses = sorted(answer.status_code for answer in at_once(calls))
    assert statuses in ([201, 400, 400, 400], [204, 400, 400, 400])
    assert rows(server.settings, "SELECT count(*) FROM users WHERE email_key = ?", wanted) == [(1,)]


@pytest.mark.any_engine
@pytest.mark.parametrize(
    "new_email", ["", "nonsense", "a@b@c.example", "x" * 300, "ü@example.com", 1, None, ["a@example.com"]]
)
def test_what_is_no_address_is_400(client: httpx.Client, new_email: object) -> None:
    person = signed_in(client)
    answer = client.post("/users/me/email", json={"new_email": new_email}, headers=person.auth)
    assert answer.status_code == 400


@pytest.mark.any_engine
@pytest.mark.rule("SU-6")
def test_beyond_the_limit_nothing_happens_and_the_last_link_stays_good(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    new_email = other_address(person)
    last = [asked(server, client, person, new_email) for _ in range(3)][-1]
    assert ask_change(client, person, new_email).status_code == 202
    settled(server.settings)
    assert len(mails(server.settings, to=new_email)) == 3
    assert confirm(client, last.token).status_code == 204
