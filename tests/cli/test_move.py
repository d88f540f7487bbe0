"""`ostiary db move`: from SQLite to PostgreSQL, and nobody notices but the operator."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api_keys.keys import made_key
from tests.cli.command import Installation
from tests.people import bearer, log_in, refresh, sign_up, signed_in
from tests.sessions.answers import assert_refused, works
from tests.sessions.beside import rows, write

TEXT = "Zoë \u0301\U0001f469\u200d\U0001f680 \x7f\x01 \uffff \u202e"


@pytest.mark.rule("ST-3", "ST-4")
def test_everything_goes_along_and_nobody_is_signed_out(here: Installation, new_postgres: Callable[[], str]) -> None:
    here.make("root", is_superuser=True)
    here.make("gone")
    here.run("user", "delete", "gone", "--yes")
    with here.serving() as client:
        person, leaver = signed_in(client), signed_in(client)
        spent = person.refresh_token
        person.refresh_token = refresh(client, spent).json()["refresh_token"]
        assert client.post("/auth/logout", headers=leaver.auth).status_code == 204
        key = made_key(client, person)
        body = {"metadata": {"text": TEXT, "number": 2**53}}
        assert client.patch("/users/me/profile", json=body, headers=person.auth).status_code == 200
        profile = client.get("/users/me/profile", headers=person.auth).json()
        assert sign_up(client).id == 5
    here.run("user", "delete", "5", "--yes")
    before = (here.data_dir / "ostiary.db").read_bytes()
    there = Installation(here.data_dir, new_postgres())
    moved = here.run("db", "move", "--to", str(there.database_url), "--json").json
    assert (here.data_dir / "ostiary.db").read_bytes() == before
    assert moved["rows"]["users"] == 3
    assert str(there.database_url) not in str(moved)
    for table in ("users", "sessions", "passwords", "api_keys"):
        assert len(rows(there.settings, f"SELECT * FROM {table}")) == moved["rows"][table]
    with there.serving() as client:
        assert works(client, person.access_token)
        assert client.get("/users/me/profile", headers=person.auth).json() == profile
        assert client.get("/users/me", headers=bearer(key["key"])).status_code == 200
        assert_refused(refresh(client, leaver.refresh_token))
        assert refresh(client, person.refresh_token).status_code == 200
        log_in(client, person)
        assert sign_up(client).id == 6, "an id is never given out twice"
    verified = there.run("audit", "verify")
    assert (verified.code, verified.out) == (0, ""), "the checkpoints beside the secret are those of the same log"
    assert there.run("db", "verify", moved["backup"]).code == 0
    assert "database_moved" in there.run("audit", "list").out
    back = Installation(here.data_dir.with_name("back"), None, {"OSTIARY_SECRET_KEY": secret_of(here)})
    file = there.run("db", "backup", "--json").json["file"]
    assert back.run("db", "restore", file).code == 0
    assert back.run("user", "list", "--json").json == there.run("user", "list", "--json").json


def secret_of(place: Installation) -> str:
    return (place.data_dir / "secret.key").read_text().strip()


def test_server_must_be_stopped(here: Installation, new_postgres: Callable[[], str]) -> None:
    here.make()
    there = Installation(here.data_dir, new_postgres())
    with here.serving():
        refused = here.run("db", "move", "--to", str(there.database_url))
    assert refused.code == 3
    assert "ostiary.db is in use: stop the server first" in refused.line
    assert not (here.data_dir / "backups").exists() or not list((here.data_dir / "backups").iterdir())
    assert there.run("db", "check").code == 1


def test_target_must_be_empty_and_postgresql(here: Installation, new_postgres: Callable[[], str]) -> None:
    here.make()
    there = Installation(here.data_dir.with_name("there"), new_postgres())
    there.make("other")
    refused = here.run("db", "move", "--to", str(there.database_url))
    assert refused.code == 3
    assert "there is an installation in the database already, and nothing was changed" in refused.line
    assert rows(there.settings, "SELECT username FROM users") == [("other",)]
    for url in (f"sqlite:///{here.data_dir}/x.db", "mysql://x/y"):
        assert here.run("db", "move", "--to", url).code == 2
    gone = here.run("db", "move", "--to", "postgresql://nobody@127.0.0.1:1/nothing")
    assert gone.code == 3
    assert not (here.data_dir / "backups").exists()


def test_what_postgres_does_not_take_is_named_and_nothing_is_kept(
    here: Installation, new_postgres: Callable[[], str]
) -> None:
    """SQLite keeps a NUL, should one ever have come in."""
    here.make()
    write(here.settings, lambda c: c.exec_driver_sql("UPDATE users SET username = 'a' || char(0) || 'b'"))
    there = Installation(here.data_dir, new_postgres())
    refused = here.run("db", "move", "--to", str(there.database_url))
    assert refused.code == 1
    assert "PostgreSQL does not take a row of the table users: invalid byte sequence" in refused.line
    assert there.run("db", "check").code == 1
    write(here.settings, lambda c: c.exec_driver_sql("UPDATE users SET username = 'ab'"))
    for file in (here.data_dir / "backups").iterdir():
        file.unlink()
    assert here.run("db", "move", "--to", str(there.database_url)).code == 0


def test_move_needs_the_secret_and_an_installation(here: Installation, new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    assert here.run("db", "move", "--to", url).code == 3
    assert not Path(here.data_dir / "secret.key").exists()
    assert Installation(here.data_dir, url).run("db", "check").code == 1
