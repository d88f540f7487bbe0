"""Data that releases left behind: each is upgraded to the newest schema, and all promised to people still holds."""

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

import ostiary.audit.models
import ostiary.roles.models
import ostiary.transfer.models  # noqa: F401 - a table that only the command line knows
from ostiary.audit.sealing.verifying import verify
from ostiary.audit.worker import seal_all
from ostiary.context import App
from ostiary.db import Database
from ostiary.db.schema import HEAD
from ostiary.db.types import metadata
from ostiary.settings import Settings
from tests.clock import FakeClock
from tests.conftest import MakeServer, NewDatabase, settings_for_tests
from tests.db.opened import on_database
from tests.faults.intact import assert_sound
from tests.people import bearer, refresh, sign_up
from tests.server import Server
from tests.sessions.answers import assert_refused, tokens_in, works
from tests.sessions.beside import rows
from tests.sessions.waiting import wait_until
from tests.upgrades.freezing import PUBLIC_URL, SECRET, SNAPSHOTS, Promise

FROZEN = sorted({path.name.split(".")[0] for path in SNAPSHOTS.glob("*.sql")})
ASKED_IN_TEXT = {"request_counts", "counting_nodes"}
"""Tables that no model knows, on PostgreSQL."""
MOST_BYTES = 100_000


def load(name: str, settings: Settings) -> Promise:
    """Put a snapshot into the empty database that the settings name."""
    engine = "sqlite" if settings.database_url is None else "postgresql"
    script = (SNAPSHOTS / f"{name}.{engine}.sql").read_text()
    if settings.sqlite_file is not None:
        settings.data_dir.mkdir(exist_ok=True)
        settings.sqlite_file.touch(mode=0o600)
        with closing(sqlite3.connect(settings.sqlite_file)) as connection:
            connection.executescript(script)
    else:
        assert settings.database_url is not None
        asyncio.run(_run_postgres(settings.database_url, script))
    return Promise(**json.loads((SNAPSHOTS / f"{name}.{engine}.json").read_text()))


async def _run_postgres(url: str, script: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


def served(make_server: MakeServer, settings: Settings, promise: Promise) -> Server:
    """Start a server on the data, a minute after it was frozen."""

    def go_back(app: App) -> None:
        clock = app.clock
        assert isinstance(clock, FakeClock)
        clock.step(seconds=(datetime.fromisoformat(promise.frozen_at) - clock.now()).total_seconds())
        clock.advance(minutes=1)  # longer than a spent token may come back

    return make_server(
        data_dir=settings.data_dir,
        database_url=settings.database_url,
        secret_key=SECRET,
        public_url=PUBLIC_URL,
        change=go_back,
    )


@pytest.mark.any_engine
def test_every_stage_so_far_is_frozen_for_both_engines() -> None:
    assert FROZEN == ["foundation", "lifecycle", "performance"]
    for name in FROZEN:
        for engine in ("sqlite", "postgresql"):
            assert 0 < (SNAPSHOTS / f"{name}.{engine}.sql").stat().st_size < MOST_BYTES
            assert Promise(**json.loads((SNAPSHOTS / f"{name}.{engine}.json").read_text())).people


@pytest.mark.rule("ST-3")
@pytest.mark.parametrize("name", FROZEN)
def test_data_of_a_release_is_upgraded_with_all_that_was_promised(
    make_server: MakeServer, new_database: NewDatabase, tmp_path: Path, name: str
) -> None:
    settings = settings_for_tests(tmp_path / "data", new_database())
    promise = load(name, settings)
    assert rows(settings, "SELECT version_num FROM alembic_version") == [(promise.revision,)]
    server = served(make_server, settings, promise)
    assert rows(settings, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert on_database(settings, lambda database: database.survey(differences)) == []
    assert_sound(settings)
    with server.client() as client:
        assert_sessions_as_they_were(client, promise)
        assert_people_as_they_were(client, promise)
        assert_programs_as_they_were(client, promise)
        assert_roles_as_they_were(settings, promise)
        assert sign_up(client).id > promise.highest_id
    assert audit_findings(server) == []
    keys = httpx.get(f"{server.url}/.well-known/jwks.json", trust_env=False).json()["keys"]
    assert set(promise.kids) <= {key["kid"] for key in keys}
    if promise.waiting_mails:  # what was sealed before is opened, and sent
        wait_until(lambda: len(list((settings.data_dir / "mail").glob("*.eml"))) >= promise.waiting_mails)


def differences(connection: Connection) -> list[Any]:
    """What distinguishes the schema from the models."""
    options = {"compare_type": True, "include_name": lambda name, *_: name not in ASKED_IN_TEXT}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def audit_findings(server: Server) -> list[str]:
    """What `ostiary audit verify` would say."""

    async def run(database: Database) -> list[str]:
        await seal_all(database, server.app.audit_keys, server.clock)
        said = verify(database, server.app.audit_keys, (), show=lambda _done, _total: None)
        return [finding async for finding in said]

    return on_database(server.settings, run)


def assert_sessions_as_they_were(client: httpx.Client, promise: Promise) -> None:
    for token in promise.live:
        access_token, _ = tokens_in(refresh(client, token))
        assert works(client, access_token)
    for token in promise.revoked:
        assert_refused(refresh(client, token))
    for token in promise.ended_access:
        assert not works(client, token)
    for spent, follower in zip(promise.spent, promise.followers, strict=True):
        assert_refused(refresh(client, spent))
        assert_refused(refresh(client, follower))


def assert_people_as_they_were(client: httpx.Client, promise: Promise) -> None:
    for body in promise.kept_out:
        assert_refused(client.post("/auth/login", json=body))
    for body in promise.people:
        answer = client.post("/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        token = answer.json()["access_token"]
        me = client.get("/users/me", headers=bearer(token)).json()
        assert me["email"] == body["email"]
        profile = client.get("/users/me/profile", headers=bearer(token)).json()
        assert profile["metadata"] == promise.metadata.get(body["email"], {})
        if me["is_superuser"]:
            assert client.get("/users", headers=bearer(token)).json()["total"] == promise.total


def assert_programs_as_they_were(client: httpx.Client, promise: Promise) -> None:
    for key in promise.api_keys:
        assert works(client, key)
    for key in promise.revoked_api_keys:
        assert not works(client, key)


def assert_roles_as_they_were(settings: Settings, promise: Promise) -> None:
    held = rows(settings, "SELECT email, role FROM user_roles JOIN users ON users.id = user_id ORDER BY email, role")
    assert held == [(email, role) for email in sorted(promise.roles) for role in promise.roles[email]]
