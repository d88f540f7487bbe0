"""What sign-up leaves in the database: seen over new connections, after deletions and restarts."""

import unicodedata
from collections.abc import Callable
from datetime import datetime

import httpx
import pytest
from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from ostiary.audit.origin import OPERATOR
from ostiary.users.accounts import delete_user, set_active
from ostiary.users.models import users
from tests.conftest import MakeServer
from tests.people import Person, log_in, newcomer, sign_up, signed_in
from tests.server import Server
from tests.sessions.beside import restarted, rows, write
from tests.users.asking import BAD_CREDENTIALS, NOT_FOUND, detail_of, nothing_stored, plant_user, post_user

UNKNOWN = {
    "id": 77_777_777,
    "is_active": False,
    "is_superuser": True,
    "created_at": "2001-01-01T00:00:00",
    "email_key": "somebody@example.com",
    "username_key": "somebody",
    "password_hash": "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$c29tZWhhc2g",
    "pepper_id": "0" * 32,
    "user_id": 1,
    "Email": "other@example.com",
    "__proto__": {"is_superuser": True},
}


def timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.rule("SU-2")
def test_no_unknown_member_reaches_the_database(server: Server, client: httpx.Client) -> None:
    body = newcomer() | UNKNOWN
    user = client.post("/users?is_superuser=true&id=88888888", json=body).json()
    assert user["id"] < 77_777_777
    query = "SELECT email, email_key, username, username_key, is_active, is_superuser FROM users WHERE id = ?"
    email, username = body["email"], body["username"]
    assert rows(server.settings, query, user["id"]) == [(email, email, username, username, True, False)]
    query = "SELECT password_hash, pepper_id FROM passwords WHERE user_id = ?"
    [(password_hash, pepper_id)] = rows(server.settings, query, user["id"])
    assert password_hash != UNKNOWN["password_hash"]
    assert pepper_id is None
    log_in(client, Person(user, body["password"]))


@pytest.mark.rule("SU-1")
def test_the_database_itself_holds_no_name_twice(server: Server) -> None:
    person = plant_user(server)
    other = {"email_key": "unlike-any@example.com", "username_key": "unlike-any"}

    def add(connection: Connection, column: str) -> None:
        [row] = connection.execute(users.select().where(users.c.id == person.id)).mappings()
        values = {name: value for name, value in row.items() if name != "id"} | other
        connection.execute(insert(users).values(values | {column: row[column]}))

    for column in other:
        with pytest.raises(IntegrityError):
            write(server.settings, add, column)


def test_somebody_deleted_is_in_no_answer_and_his_names_are_free_again(server: Server, client: httpx.Client) -> None:
    reader, gone = signed_in(client), plant_user(server)

    def total() -> int:
        return int(client.get("/users?limit=1", headers=reader.auth).json()["total"])

    before = total()
    write(server.settings, delete_user, gone.id, origin=OPERATOR, now=server.clock.now())
    assert total() == before - 1
    answer = client.get(f"/users/{gone.id}", headers=reader.auth)
    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    person = sign_up(client, email=gone.email, username=gone.username)
    assert person.id > gone.id
    assert total() == before


@pytest.mark.rule("AD-6")
def test_ids_grow_and_are_never_given_out_twice(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        ids = [sign_up(client).id]
        for _ in range(2):
            write(server.settings, delete_user, ids[-1], origin=OPERATOR, now=server.clock.now())
            ids.append(sign_up(client).id)
        write(server.settings, delete_user, ids[-1], origin=OPERATOR, now=server.clock.now())
    with restarted(make_server, server).client() as client:
        ids.append(sign_up(client).id)
    assert ids[0] >= 1
    assert ids == sorted(set(ids))


def test_timestamps_are_the_whole_seconds_of_the_clock(make_server: MakeServer) -> None:
    server = make_server()
    server.clock.advance(days=40, seconds=0.999)
    created = timestamp(server.clock.now())
    with server.client() as client:
        reader, person = signed_in(client), sign_up(client)
        assert person.user["created_at"] == person.user["updated_at"] == created
        assert client.get(f"/users/{person.id}", headers=reader.auth).json() == person.user
        server.clock.advance(seconds=61.5)
        write(server.settings, set_active, person.id, is_active=False, origin=OPERATOR, now=server.clock.now())
        changed = {"is_active": False, "updated_at": timestamp(server.clock.now())}
        assert client.get(f"/users/{person.id}", headers=reader.auth).json() == person.user | changed


@pytest.mark.rule("PW-2")
@pytest.mark.parametrize(
    ("password", "changes"),
    [
        (" \t Staple-über-Éclair \u3000", [str.strip, str.lower, str.rstrip, str.lstrip]),
        (unicodedata.normalize("NFC", "éclair-größe-naïveté"), [lambda text: unicodedata.normalize("NFD", text)]),
        ("\uff53taple-\u2460-ﬁsh-Ⅷ", [lambda text: unicodedata.normalize("NFKC", text)]),
        ("Straße-İstanbul-ΣΑΣ\u200d", [str.casefold, str.upper, lambda text: text.rstrip("\u200d")]),
    ],
    ids=["white space", "composed", "compatibility forms", "case and joiners"],
)
def test_a_password_logs_in_exactly_as_chosen(
    client: httpx.Client, password: str, changes: list[Callable[[str], str]]
) -> None:
    person = sign_up(client, password=password)
    for change in changes:
        assert change(password) != password
        answer = client.post("/auth/login", json={"email": person.email, "password": change(password)})
        assert (answer.status_code, answer.json()) == (401, BAD_CREDENTIALS)
    log_in(client, person)


def test_closed_sign_up_takes_nobody_and_keeps_everybody(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person = sign_up(client)
    closed = restarted(make_server, server, signup="closed")
    with closed.client() as client:
        with nothing_stored(closed):
            for body in (newcomer(), newcomer(email=person.email), newcomer(password="x"), newcomer(email="nobody")):
                assert detail_of(post_user(client, body), 403, code="signup_closed") == "Sign-up is closed"
        log_in(client, person)
