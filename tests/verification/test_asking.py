"""Asking for a mail: one answer and equal work for every address, limits, and a queue that cannot grow without end."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, insert

from ostiary.audit.origin import OPERATOR
from ostiary.login.deactivation import deactivate_user
from ostiary.verification import asking, worker
from ostiary.verification.models import mail_requests
from ostiary.verification.recovery import start_reset
from tests.conftest import MakeServer
from tests.mails import mail_to, mails, settled
from tests.people import sign_up
from tests.sessions.answers import facts
from tests.sessions.beside import restarted, rows, write
from tests.verification.test_reset import forgot, reset

PATHS = ("/auth/password/forgot", "/auth/verify-email/request")
GARBAGE = (
    "",
    "no address",
    "a@b@c",
    "x" * 5000,
    "user@exämple.com",
    "ü@example.com",
    "user@example.com, other@example.com",
)


@pytest.mark.rule("RC-1", "SU-6")
@pytest.mark.parametrize("path", PATHS)
def test_every_address_has_the_same_answer_and_writes_one_row(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(worker.AskedMails, "start", lambda _: None)  # nothing is answered meanwhile
    server = make_server()
    with server.client() as client:
        person, inactive = sign_up(client), sign_up(client)
        write(server.settings, deactivate_user, inactive.id, origin=OPERATOR, now=server.clock.now())
        emails = (person.email, person.email.upper(), inactive.email, "nobody@example.com", *GARBAGE)
        answers = [client.post(path, json={"email": email}) for email in emails]
    assert {answer.status_code for answer in answers} == {202}
    assert len({str(facts(answer)) for answer in answers}) == 1
    assert rows(server.settings, "SELECT count(*) FROM mail_requests") == [(len(emails),)]


@pytest.mark.any_engine
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [{}, {"email": 1}, {"email": None}, {"email": ["a@example.com"]}, []])
def test_what_names_no_address_is_400(client: httpx.Client, path: str, body: object) -> None:
    assert client.post(path, json=body).status_code == 400


@pytest.mark.in_memory
@pytest.mark.rule("SU-6")
def test_an_address_is_mailed_three_times_in_a_quarter_of_an_hour(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person = sign_up(client)
        for _ in range(5):
            forgot(client, person.email)
        settled(server.settings)
        sent = mails(server.settings, to=person.email, name="reset_password")
        assert len(sent) == 3
        server.clock.advance(minutes=16)
        statuses = [reset(client, mail.token).status_code for mail in sent]
        assert sorted(statuses) == [204, 400, 400], "the last link that was sent stays good"
        forgot(client, person.email)
        mail_to(server.settings, person.email, "reset_password", number=4)


@pytest.mark.rule("SU-6")
@pytest.mark.any_engine
def test_a_source_is_given_ten_mails_an_hour(make_server: MakeServer) -> None:
    server = make_server(mail_limit_per_source="10/hour")
    with server.client() as client:
        people = [sign_up(client) for _ in range(12)]
        for person in people:
            forgot(client, person.email)
        settled(server.settings)
    sent = [person for person in people if mails(server.settings, to=person.email, name="reset_password")]
    assert sent == people[:10]
    assert all(mails(server.settings, to=person.email, name="verify_address") for person in people), "no sign-up's own"


@pytest.mark.any_engine
def test_a_full_queue_refuses_everybody_alike(make_server: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.AskedMails, "start", lambda _: None)
    monkeypatch.setattr(asking, "MOST_WAITING", 3)
    server = make_server()
    with server.client() as client:
        person = sign_up(client)
        for _ in range(4):
            forgot(client, person.email)
        answers = [
            client.post("/auth/password/forgot", json={"email": email}) for email in (person.email, "x@example.com")
        ]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert answers[0].json() == answers[1].json()
    assert "retry-after" in answers[0].headers
    assert rows(server.settings, "SELECT count(*) FROM mail_requests") == [(4,)]


def test_what_waited_too_long_or_cannot_be_answered_is_dropped_and_holds_up_nobody(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server()
    with server.client() as client:
        late, unlucky, person = sign_up(client), sign_up(client), sign_up(client)
        settled(server.settings)

        def fail_for_one(connection: Connection, app: Any, user: Any, *args: Any, **more: Any) -> None:
            if user.id == unlucky.id:
                raise RuntimeError("planted")
            start_reset(connection, app, user, *args, **more)

        monkeypatch.setattr(worker, "start_reset", fail_for_one)
        asked_at = server.clock.now() - asking.KEPT_FOR
        write(server.settings, _wait_since, late.email, asked_at)
        write(server.settings, _wait_since, late.email, asked_at + timedelta(seconds=1))
        forgot(client, unlucky.email)
        forgot(client, person.email)
        mail_to(server.settings, person.email, "reset_password")
        settled(server.settings)
    assert mails(server.settings, to=unlucky.email, name="reset_password") == []
    assert len(mails(server.settings, to=late.email, name="reset_password")) == 1


def _wait_since(connection: Connection, email_key: str, moment: Any) -> None:
    values = {
        "wanted": "reset",
        "email_key": email_key,
        "source": "x",
        "address": "x",
        "user_agent": "",
        "request_id": "",
    }
    connection.execute(insert(mail_requests).values(requested_at=moment, **values))


def test_two_servers_answer_each_request_once(make_server: MakeServer) -> None:
    first = make_server()
    second = make_server(like=first)
    with first.client() as one, second.client() as other:
        people = [sign_up(client) for client in (one, other) for _ in range(4)]
        for person in people:
            forgot(one, person.email)
            forgot(other, person.email)
        settled(first.settings)
    for person in people:
        assert len(mails(first.settings, to=person.email, name="reset_password")) == 2


@pytest.mark.rule("FL-1")
def test_what_was_asked_for_survives_a_restart(make_server: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(worker.AskedMails, "start", lambda _: None)
        before = make_server()
        with before.client() as client:
            person = sign_up(client)
            forgot(client, person.email)
    after = restarted(make_server, before)
    mail_to(after.settings, person.email, "reset_password")
