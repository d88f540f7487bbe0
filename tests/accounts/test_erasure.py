"""Erasure: somebody who did everything is deleted, and no row of any table says anything of him (LA-4).

What is left in the audit log is an id that is never given out again, which tells nobody who it was.
"""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select

from ostiary.accounts.closing import close_account
from ostiary.audit.origin import OPERATOR
from ostiary.db.types import metadata
from tests.conftest import NewDatabase, settings_for_tests
from tests.mails import told
from tests.people import Person, log_in, refresh, sign_up, signed_in
from tests.roles.planted import plant_holder, plant_role
from tests.server import Server
from tests.sessions.answers import tokens_in
from tests.sessions.beside import rows, write
from tests.sessions.waiting import wait_until

CANARY = "kanarienvogel"
NETWORK = "203.0.113"
SAFE_TABLES = {"audit_log", "audit_erasures"}
"""Where his id may stay, which stands for nobody any more."""


@pytest.fixture(scope="module")
def guarded(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind a proxy, so that tests can come from where they like."""
    settings = settings_for_tests(tmp_path_factory.mktemp("data"), new_database(), trusted_proxies="127.0.0.1")
    with Server(settings) as running:
        yield running


def live(api: httpx.Client) -> Person:
    """Do everything that leaves something behind."""
    person = sign_up(api, email=f"{CANARY}@example.com", username=CANARY, password=f"{CANARY}-correct-Horse-9")
    wrong = {"email": person.email, "password": "wrong-horse-Battery-9"}
    assert api.post("/auth/login", json=wrong).status_code == 401
    person, other = log_in(api, person), log_in(api, person)
    tokens_in(refresh(api, other.refresh_token))
    for members in ({"language": "de", "metadata": {"pet": CANARY}}, {"metadata": {CANARY: [CANARY]}}):
        assert api.patch("/users/me/profile", headers=person.auth, json=members).status_code == 200
    assert api.patch("/users/me", headers=person.auth, json={"username": f"{CANARY}2"}).status_code == 200
    change = {"current_password": "wrong", "new_password": f"{CANARY}-another-Horse-7"}
    assert api.post("/users/me/password", headers=person.auth, json=change).status_code == 403
    change["current_password"] = person.password
    assert api.post("/users/me/password", headers=person.auth, json=change).status_code == 204
    person = log_in(api, Person(person.user, change["new_password"]))
    assert api.post("/auth/reauthenticate", headers=person.auth, json={"password": "wrong"}).status_code == 403
    wanted = {"new_email": f"{CANARY}2@example.com"}
    assert api.post("/users/me/email", headers=person.auth, json=wanted).status_code == 202
    for path in ("/auth/verify-email/request", "/auth/password/forgot"):
        assert api.post(path, json={"email": person.email}).status_code == 202
    key = {"name": CANARY, "scopes": []}
    assert api.post("/api-keys", headers=person.auth, json=key).status_code == 201
    return person


def everything(connection: Connection) -> list[tuple[str, dict[str, Any]]]:
    """Every row of every table."""
    return [
        (table.name, dict(row))
        for table in metadata.sorted_tables
        for row in connection.execute(select(table)).mappings()
    ]


def traces(server: Server, person: Person) -> list[str]:
    """Where a person, his address, his device or his network are still to be found."""
    found = []
    for table, row in write(server.settings, everything):
        for column, value in row.items():
            text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            says = CANARY in text.lower() or NETWORK in text
            says |= isinstance(value, str) and value.startswith(f"{person.id}:")
            is_his = column in {"user_id", "actor_id"} and value == person.id and table not in SAFE_TABLES
            if says or is_his or text == f"user:{person.id}":
                found.append(f"{table}.{column} = {text}")
    return found


def close_by_himself(_server: Server, api: httpx.Client, person: Person) -> None:
    assert api.delete("/users/me", headers=person.auth).status_code == 204


def close_by_operator(server: Server, _api: httpx.Client, person: Person) -> None:
    write(
        server.settings,
        close_account,
        person.id,
        sealer=server.app.sealer,
        origin=OPERATOR,
        now=server.clock.now(),
    )


@pytest.mark.rule("LA-4", "AD-6", "TK-7")
@pytest.mark.parametrize("close", [close_by_himself, close_by_operator])
def test_nothing_of_somebody_is_left_in_any_table(
    guarded: Server, close: Callable[[Server, httpx.Client, Person], None]
) -> None:
    for path in (guarded.settings.data_dir / "mail").glob("*.eml"):
        path.unlink()
    role = f"role-{secrets.token_hex(4)}"
    plant_role(guarded, role, "users:read")
    headers = {"User-Agent": f"{CANARY}/1.0", "X-Forwarded-For": f"{NETWORK}.77"}
    with guarded.client(headers=headers) as api, guarded.client() as elsewhere:
        neighbour = signed_in(elsewhere)
        person = live(api)
        plant_holder(guarded, person.id, role)
        wait_until(lambda: rows(guarded.settings, "SELECT count(*) FROM mail_requests") == [(0,)])
        assert len({trace.partition(" ")[0] for trace in traces(guarded, person)}) > 10, "he did leave something"
        close(guarded, api, person)
        assert told(guarded.settings, person.email).count("account_deleted") == 1
        assert traces(guarded, person) == []
        assert elsewhere.get("/users/me", headers=neighbour.auth).json() == neighbour.user
    recorded = [row for table, row in write(guarded.settings, everything) if table == "audit_log"]
    assert {row["event"] for row in recorded if row["user_id"] == person.id} > {"user_signed_up", "user_deleted"}
