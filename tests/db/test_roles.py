"""What PostgreSQL itself must be like: durable, and content with a role that may not change the schema."""

import asyncio
import secrets
from pathlib import Path

import asyncpg
import pytest

from ostiary.settings import Settings
from tests.cli.command import Installation
from tests.conftest import settings_for_tests
from tests.people import log_in, refresh, signed_in
from tests.server import Server
from tests.sessions.answers import works
from tests.sessions.beside import rows


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own, as the URL's role."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture
def role(postgres_url: str) -> str:
    """A role that may log in and has no other right."""
    name = f"serving_{secrets.token_hex(4)}"
    execute(postgres_url, f"CREATE ROLE {name} LOGIN")
    return name


@pytest.fixture
def role_url(postgres_url: str, role: str) -> str:
    return postgres_url.replace("postgres@", f"{role}@")


@pytest.mark.rule("ST-1")
@pytest.mark.parametrize("where", ["DATABASE", "ROLE"])
def test_postgres_that_acknowledges_too_early_is_refused_in_one_line(
    postgres_url: str, role: str, role_url: str, tmp_path: Path, where: str
) -> None:
    database = postgres_url.rpartition("/")[2]
    name = database if where == "DATABASE" else role
    execute(postgres_url, f"GRANT CREATE ON SCHEMA public TO {role}")
    execute(postgres_url, f"ALTER {where} {name} SET synchronous_commit = off")
    place = Installation(tmp_path / "data", role_url)
    for command in (["serve", "--port", "0"], ["db", "upgrade"]):
        refused = place.run(*command)
        assert refused.code == 3
        assert refused.line.startswith("the PostgreSQL server has synchronous_commit off, ")
    settings = settings_for_tests(tmp_path / "data", postgres_url)
    assert rows(settings, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []
    execute(postgres_url, f"ALTER {where} {name} SET synchronous_commit = on")
    assert place.run("db", "upgrade").code == 0


def owned(data_dir: Path, role_url: str, owner_url: str) -> Settings:
    return settings_for_tests(data_dir, role_url, database_owner_url=owner_url)


@pytest.mark.rule("ST-1")
def test_role_without_rights_on_the_schema_serves_everything(postgres_url: str, role_url: str, tmp_path: Path) -> None:
    settings = owned(tmp_path / "data", role_url, postgres_url)
    with Server(settings) as server, server.client() as client:
        person = signed_in(client)
        assert refresh(client, person.refresh_token).status_code == 200
        assert client.post("/auth/login", json={"email": person.email, "password": "wrong"}).status_code == 401
        person = log_in(client, person)
        assert client.post("/auth/logout", headers=person.auth).status_code == 204
        assert not works(client, person.access_token)
    with Server(settings) as again, again.client() as client:
        log_in(client, person)
    for statement in (
        "ALTER TABLE users ADD COLUMN planted integer",
        "DROP TABLE sessions",
        "TRUNCATE users CASCADE",
        "CREATE TABLE planted (id integer)",
        "ALTER SEQUENCE users_id_seq RESTART",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            execute(role_url, statement)


@pytest.mark.rule("ST-1", "ST-3")
def test_role_without_rights_saves_and_the_owner_restores_for_it(
    postgres_url: str, role_url: str, tmp_path: Path
) -> None:
    base, _, name = postgres_url.rpartition("/")
    execute(postgres_url, f"CREATE DATABASE {name}_too")
    another_database = f"{base}/{name}_too"
    settings = owned(tmp_path / "data", role_url, postgres_url)
    with Server(settings) as server, server.client() as client:
        person = signed_in(client)
    file = str(tmp_path / "x.backup")
    assert Installation(settings.data_dir, role_url).run("db", "backup", file).code == 0
    serving = f"{role_url}_too"
    there = Installation(settings.data_dir, serving)
    assert there.run("db", "restore", file).code == 3
    there = Installation(settings.data_dir, serving, {"OSTIARY_DATABASE_OWNER_URL": another_database})
    assert there.run("db", "restore", file).code == 0
    with Server(owned(settings.data_dir, serving, another_database)) as server, server.client() as client:
        log_in(client, person)
        assert signed_in(client).id == person.id + 1


@pytest.mark.rule("ST-1")
def test_role_without_rights_and_without_an_owner_is_refused_in_one_line(role_url: str, tmp_path: Path) -> None:
    refused = Installation(tmp_path / "data", role_url).run("db", "upgrade")
    assert refused.code == 3
    assert "permission denied for schema public" in refused.line
