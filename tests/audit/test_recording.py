"""Every act leaves exactly one row, in its own transaction; what did not happen leaves none."""

import httpx
import pytest

from ostiary.audit.events import Event
from ostiary.audit.origin import OPERATOR
from ostiary.login.deactivation import deactivate_user
from ostiary.users.accounts import LastSuperuser, delete_user, set_active, set_superuser
from tests.audit.inside import Recorded, audit_rows, recorded
from tests.people import PASSWORD, Person, bearer, log_in, newcomer, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import session_of
from tests.sessions.beside import write


def events(server: Server, person: Person) -> list[str]:
    """What is recorded of somebody, in any order: the clock of the server stands still."""
    return sorted(row.event for row in recorded(server.settings, about=person.id))


def test_sign_up_is_recorded_with_where_it_came_from(server: Server, client: httpx.Client) -> None:
    answer = client.post("/users", json=newcomer(), headers={"User-Agent": "a browser"})
    [row] = audit_rows(server.settings, about=answer.json()["id"])
    assert (row.event, row.actor_id, row.origin) == ("user_signed_up", None, "request")
    assert (row.address, row.user_agent) == ("127.0.0.1", "a browser")
    assert row.request_id == answer.headers["x-request-id"]
    assert row.at == server.clock.now()
    assert (row.place, row.details) == (None, "{}") or row.place is not None


@pytest.mark.any_engine
def test_refused_sign_up_is_no_event(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    before = len(audit_rows(server.settings))
    assert client.post("/users", json=newcomer(email=person.email)).status_code == 400
    assert client.post("/users", json=newcomer(password="password")).status_code == 400
    assert len(audit_rows(server.settings)) == before


def test_login_is_recorded_with_its_session(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    rows = recorded(server.settings, about=person.id)
    details = {"session": session_of(person), "amr": "pwd"}
    assert Recorded("login_succeeded", person.id, person.id, details) in rows
    assert len(rows) == 2, "and the sign-up"


def test_every_failed_login_leaves_one_row_whatever_the_reason(server: Server, client: httpx.Client) -> None:
    person, asleep = sign_up(client), sign_up(client)
    write(server.settings, set_active, asleep.id, is_active=False, origin=OPERATOR, now=server.clock.now())
    tries = [
        (person.email, "wrong", "wrong_password", person.id),
        (asleep.email, PASSWORD, "deactivated", asleep.id),
        ("nobody-at-all@example.com", PASSWORD, "unknown_address", None),
        ("no address", PASSWORD, "unknown_address", None),
    ]
    for email, password, why, user_id in tries:
        before = {row.id for row in audit_rows(server.settings)}
        answer = client.post("/auth/login", json={"email": email, "password": password})
        assert answer.status_code == 401
        [row] = [row for row in audit_rows(server.settings) if row.id not in before]
        assert (row.event, row.actor_id, row.user_id) == ("login_failed", None, user_id)
        assert row.details == f'{{"reason":"{why}"}}'
        assert row.request_id == answer.headers["x-request-id"]
        assert email not in str(row), "an address that somebody mistyped is his own business"


def test_throttled_login_is_recorded_as_such(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    for _ in range(11):
        client.post("/auth/login", json={"email": person.email, "password": "wrong"})
    reasons = [row.details["reason"] for row in recorded(server.settings, about=person.id) if row.details]
    assert sorted(reasons) == ["throttled"] + ["wrong_password"] * 10


def test_leaving_is_recorded_once(server: Server, client: httpx.Client) -> None:
    here = signed_in(client)
    there = log_in(client, here)
    assert client.post("/auth/logout", headers=here.auth).status_code == 204
    rows = recorded(server.settings, about=here.id)
    assert Recorded("logged_out", here.id, here.id, {"session": session_of(here)}) in rows
    assert client.post("/auth/logout-all", headers=there.auth).status_code == 204
    rows = recorded(server.settings, about=here.id)
    assert Recorded("logged_out_everywhere", here.id, here.id, {"sessions": 1}) in rows
    assert len(rows) == 5


def test_refreshing_is_no_event_but_a_replay_is(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    second = refresh(client, person.refresh_token).json()["refresh_token"]
    assert refresh(client, second).status_code == 200
    assert events(server, person) == ["login_succeeded", "user_signed_up"]
    assert refresh(client, person.refresh_token).status_code == 401
    rows = recorded(server.settings, about=person.id)
    assert Recorded("refresh_token_replayed", None, person.id, {"session": session_of(person)}) in rows
    assert refresh(client, second).status_code == 401, "the family is ended already"
    assert len(recorded(server.settings, about=person.id)) == 3


def test_what_operators_do_is_recorded_as_theirs(server: Server, client: httpx.Client) -> None:
    person, now = sign_up(client), server.clock.now()
    write(server.settings, set_superuser, person.id, is_superuser=True, origin=OPERATOR, now=now)
    write(server.settings, set_superuser, person.id, is_superuser=True, origin=OPERATOR, now=now)
    with pytest.raises(LastSuperuser):
        write(server.settings, deactivate_user, person.id, origin=OPERATOR, now=now)
    other = sign_up(client)
    write(server.settings, set_superuser, other.id, is_superuser=True, origin=OPERATOR, now=now)
    write(server.settings, set_superuser, person.id, is_superuser=False, origin=OPERATOR, now=now)
    write(server.settings, deactivate_user, person.id, origin=OPERATOR, now=now)
    write(server.settings, set_active, person.id, is_active=True, origin=OPERATOR, now=now)
    write(server.settings, delete_user, person.id, origin=OPERATOR, now=now)
    assert events(server, person) == [
        "user_activated",
        "user_deactivated",
        "user_deleted",
        "user_demoted",
        "user_promoted",
        "user_signed_up",
    ], "once each, and none for what changed nothing or was refused"
    rows = [row for row in audit_rows(server.settings, about=person.id) if row.event != "user_signed_up"]
    assert {(row.origin, row.actor_id, row.address, row.user_agent, row.salt) for row in rows} == {
        ("operator", None, None, None, None)
    }


def test_first_key_is_recorded_as_the_servers_own_act(server: Server) -> None:
    [row] = [row for row in audit_rows(server.settings) if row.event == Event.SIGNING_KEY_PUBLISHED]
    assert (row.origin, row.actor_id, row.user_id) == ("system", None, None)


def test_ids_are_in_the_order_of_time(server: Server, client: httpx.Client) -> None:
    sign_up(client)
    rows = audit_rows(server.settings)
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    assert len({row.id[-20:] for row in rows}) == len(rows), "and nobody can guess the rest"


def test_what_somebody_does_with_his_own_account_is_recorded(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    assert client.patch("/users/me", json={"username": person.user["username"]}, headers=person.auth).status_code == 200
    assert client.patch("/users/me", json={"username": newcomer()["username"]}, headers=person.auth).status_code == 200
    wrong = client.post("/auth/reauthenticate", json={"password": "wrong"}, headers=person.auth)
    assert wrong.status_code == 403
    answer = client.post("/auth/reauthenticate", json={"password": person.password}, headers=person.auth)
    assert answer.status_code == 200
    assert client.delete("/users/me", headers=bearer(answer.json()["access_token"])).status_code == 204
    rows = recorded(server.settings, about=person.id)
    by_himself = {(row.event, str(row.details)) for row in rows if row.actor_id == person.id}
    session = session_of(person)
    assert by_himself == {
        ("login_succeeded", str({"amr": "pwd", "session": session})),
        ("user_renamed", "{}"),
        ("password_refused", str({"reason": "wrong_password"})),
        ("reauthenticated", str({"session": session})),
        ("user_deleted", "{}"),
    }
    assert len(rows) == 6
