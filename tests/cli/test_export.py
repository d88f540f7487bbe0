"""`ostiary user export`."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from ostiary.roles.models import roles
from tests.cli.command import Installation
from tests.cli.files import ANOTHER, OURS, json_lines, user
from tests.conftest import NewDatabase
from tests.people import PASSWORD, Person, log_in
from tests.sessions.beside import rows, write

USERS = (
    "SELECT email, email_key, username, username_key, is_active, is_superuser, created_at, password_hash, "
    "email_verified_at IS NULL, language, metadata FROM users LEFT JOIN passwords p ON p.user_id = id "
    "LEFT JOIN profiles f ON f.user_id = id ORDER BY users.id"
)
ROLES = "SELECT username, role FROM user_roles JOIN users ON id = user_id ORDER BY username, role"
METADATA = {"größe": [1, 2.5, None, {"a": 'b,"c";\n\''}], "on": True}


def prepared(place: Installation) -> None:
    """Make an installation with the roles that some have."""
    place.run("db", "upgrade")
    now = datetime.now(UTC)
    values = {"description": "", "permissions": "users:read", "created_at": now, "updated_at": now}

    def plant(connection: Connection) -> None:
        connection.execute(insert(roles), [{"name": name} | values for name in ("editor", "support")])

    write(place.settings, plant)


def filled(place: Installation) -> Installation:
    """An installation with all kinds of users, and more than a page of them."""
    prepared(place)
    file = place.data_dir.parent / "before.jsonl"
    people = [
        user("ann", password_hash=OURS, created_at="2020-02-03T04:05:06"),
        user("bob", password_hash=ANOTHER, is_active=False, is_superuser=True),
        user("dee", email_verified=True, language="pt-BR", metadata=METADATA, roles=["support", "editor"]),
        user("eve", metadata={"a": '"' * 8000}, roles=["editor"]),
        user("-cid", created_at="1999-12-31T23:59:59") | {"email": "=a+b@bücher.example"},
        *(user(f"user-{number}") for number in range(5100)),
    ]
    file.write_bytes(json_lines(people))
    assert place.run("user", "import", str(file)).code == 0
    return place


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_exported_users_are_the_same_after_an_import_elsewhere(
    place: Installation, new_database: NewDatabase, tmp_path: Path, form: str
) -> None:
    filled(place)
    file = tmp_path / f"people.{form}"
    done = place.run("user", "export", str(file), "--passwords")
    assert (done.code, done.out, done.err) == (0, "", "5105 users were exported.\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.unfinished"))
    elsewhere = Installation(tmp_path / "elsewhere", new_database())
    prepared(elsewhere)
    imported = elsewhere.run("user", "import", str(file))
    assert imported.code == 0, imported
    assert rows(elsewhere.settings, USERS) == rows(place.settings, USERS)
    assert rows(elsewhere.settings, ROLES) == rows(place.settings, ROLES)
    assert rows(place.settings, ROLES) == [("dee", "editor"), ("dee", "support"), ("eve", "editor")]
    with elsewhere.serving() as client:
        log_in(client, Person({"email": "ann@example.com"}, PASSWORD))


def test_hashes_go_out_only_when_asked_for(here: Installation) -> None:
    here.make("ann")
    unsaid = here.run("user", "export")
    assert (unsaid.code, unsaid.out) == (2, "")
    assert "--passwords" in unsaid.err
    without = here.run("user", "export", "--no-passwords")
    assert without.err == "1 users were exported, without passwords.\n"
    assert list(json.loads(without.out)) == [
        "email",
        "username",
        "is_active",
        "is_superuser",
        "email_verified",
        "created_at",
    ]
    assert here.run("user", "export", "--no-passwords", "--format", "csv").out.startswith(
        "email,username,is_active,is_superuser,email_verified,language,metadata,roles,created_at\n"
        "ann@example.com,ann,true,false,true,,,,20"
    )
    assert json.loads(here.run("user", "export", "--passwords").out)["password_hash"].startswith("$argon2id$")


@pytest.mark.rule("PW-4")
def test_peppered_hash_stays_and_that_is_said(here: Installation) -> None:
    peppered = Installation(here.data_dir, environment={"OSTIARY_PASSWORD_PEPPER": "on"})
    peppered.make("ann")
    done = peppered.run("user", "export", "--passwords")
    assert done.code == 4
    assert "1 of them without their hash: it was made with the pepper" in done.err
    assert "password_hash" not in json.loads(done.out)


def test_a_file_is_replaced_only_by_force(here: Installation, tmp_path: Path) -> None:
    here.make("ann")
    file = tmp_path / "people.csv"
    file.write_text("precious")
    refused = here.run("user", "export", str(file), "--passwords")
    assert refused.code == 1
    assert refused.line.endswith("exists already: --force replaces it")
    assert file.read_text() == "precious"
    assert here.run("user", "export", str(file), "--passwords", "--force").code == 0
    assert file.read_text().startswith("email,username,password_hash,")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nothing_is_left_where_the_export_cannot_be_done(here: Installation, tmp_path: Path) -> None:
    here.make("ann")
    assert here.run("user", "export", str(tmp_path / "no" / "such.csv"), "--no-passwords").code == 3
    assert here.run("user", "export", str(tmp_path / "people.txt"), "--no-passwords").code == 2
    assert not list(tmp_path.glob("people*"))
