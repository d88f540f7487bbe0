"""Nothing secret rests in plain in any table, file or metric: passwords, tokens, keys, links waiting in the outbox.

Whoever reads a copy of the database or a page of metrics can become nobody.
"""

import secrets
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from ostiary.settings import Settings
from tests.conftest import MakeServer
from tests.mails import opened
from tests.parts.ports import free_port
from tests.parts.smtp import MailServer
from tests.people import Person, bearer, log_in, newcomer, refresh
from tests.server import Server
from tests.sessions.beside import rows
from tests.sessions.waiting import wait_until
from tests.web.canaries import Canaries

LINKS = 3
"""Mails with a link: to prove an address, to prove another one, to reset a password."""


def everything_stored(settings: Settings) -> bytes:
    """Every file of the data directory but the secret's, and on PostgreSQL every row of every table."""
    stored = b"".join(path.read_bytes() for path in files_of(settings.data_dir))
    if settings.database_url is not None:
        tables = rows(settings, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in tables:
            stored += "\n".join(row[0] for row in rows(settings, f'SELECT t::text FROM "{table}" t')).encode()
    return stored


def files_of(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file() and path.name != "secret.key")


def live(api: httpx.Client, canaries: Canaries) -> Person:
    """Do everything that leaves something secret behind."""
    password = canaries.password()
    body = newcomer(password=password)
    person = log_in(api, Person(api.post("/users", json=body).json(), password))
    for token in (person.access_token, person.refresh_token):
        canaries.token(token)
    wrong = {"email": person.email, "password": canaries.password()}
    assert api.post("/auth/login", json=wrong).status_code == 401
    assert api.post("/auth/login", json=wrong | {"email": canaries.password()}).status_code == 401
    canaries.pair(refresh(api, person.refresh_token))
    change = {"current_password": password, "new_password": canaries.password()}
    assert api.post("/users/me/password", json=change, headers=person.auth).status_code == 204
    person = log_in(api, Person(person.user, change["new_password"]))
    for token in (person.access_token, person.refresh_token):
        canaries.token(token)
    key = canaries.token(api.post("/api-keys", json={"name": "canary"}, headers=person.auth).json()["key"])
    canaries.found.add(key.rpartition("_")[2])
    assert api.get("/users", headers=bearer(key)).status_code == 200
    assert api.get("/users", headers=bearer(canaries.token(f"{key[:-1]}!"))).status_code == 401
    other = {"new_email": f"other-{secrets.token_hex(6)}@example.com"}
    assert api.post("/users/me/email", json=other, headers=person.auth).status_code == 202
    assert api.post("/auth/password/forgot", json={"email": person.email}).status_code == 202
    return person


def links_in(mails: list[EmailMessage]) -> list[str]:
    return [
        opened(mail).token for mail in mails if "?token=" in mail.as_string().replace("=\n", "").replace("=3D", "=")
    ]


def count_outbox(server: Server) -> int:
    [(count,)] = rows(server.settings, "SELECT count(*) FROM mail_outbox")
    return int(count)


@pytest.mark.rule("LA-2", "TK-8", "SU-4", "SK-3")
def test_no_secret_rests_in_any_store_or_metric(make_server: MakeServer) -> None:
    canaries, port = Canaries(), free_port()
    metrics_token = canaries.token(secrets.token_hex(32))
    server = make_server(mail_url=f"smtp://127.0.0.1:{port}", metrics_token=metrics_token)
    canaries.found.add(server.settings.secret_key_file.read_text().strip())
    with server.client() as api:
        person = live(api, canaries)
        wait_until(lambda: len(rows(server.settings, "SELECT id FROM mail_requests")) == 0)
        assert count_outbox(server) >= LINKS
        waiting = everything_stored(server.settings)
        with MailServer(port=port) as mail:
            wait_until(lambda: count_outbox(server) == 0)
            tokens = links_in([taken.mail for taken in mail.taken])
        assert len(tokens) == LINKS
        canaries.found |= set(tokens)
        metrics = httpx.get(f"{server.url}/metrics", headers=bearer(metrics_token), trust_env=False)
        assert metrics.status_code == 200
    afterwards = everything_stored(server.settings)
    for stored in (waiting, afterwards):
        assert person.email.encode() in stored, "the search finds what is there"
        assert not canaries.are_in(stored)
    assert not canaries.are_in(metrics.content)
    assert person.email not in metrics.text
