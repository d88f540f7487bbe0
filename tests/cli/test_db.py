"""`ostiary db …`, and databases that are not as they must be."""

import re
import sqlite3
from contextlib import closing

import pytest

from ostiary.db.schema import HEAD
from tests.cli.command import Installation
from tests.people import PASSWORD, sign_up
from tests.sessions.beside import write

COMMANDS = (["user", "list"], ["keys", "list"], ["user", "promote", "1"], ["keys", "rotate"])


def set_version(place: Installation, version: str) -> None:
    """Let the schema say that another version of Ostiary made it."""
    from sqlalchemy import Connection, text  # noqa: PLC0415 - only this one test looks so deep

    def change(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
        connection.execute(text("UPDATE schema_compatibility SET oldest_server = :version"), {"version": version})

    write(place.settings, change)


def test_upgrade_makes_the_schema_and_then_has_nothing_to_do(place: Installation) -> None:
    made = place.run("db", "upgrade")
    assert made.code == 0
    assert made.out.endswith(f" was upgraded: schema version {HEAD} (was empty)\n")
    again = place.run("db", "upgrade")
    assert again.code == 0
    assert again.out.endswith(f" is up to date: schema version {HEAD}\n")
    assert place.run("user", "list", "--json").json["total"] == 0
    assert place.make() == 1


def test_check_tells_and_changes_nothing(place: Installation) -> None:
    empty = place.run("db", "check")
    assert (empty.code, empty.err) == (1, "")
    assert ": empty; " in empty.out
    assert not place.data_dir.exists()
    place.run("db", "upgrade")
    current = place.run("db", "check")
    assert (current.code, current.err) == (0, "")
    assert current.out.endswith(f": schema version {HEAD}, current\n")
    checked = place.run("db", "check", "--json").json
    database = checked.pop("database")
    assert current.out.startswith(f"{database}: ")
    assert checked == {"state": "current", "version": HEAD, "needed": HEAD}


@pytest.mark.rule("ST-3")
def test_newer_database_is_left_alone(place: Installation) -> None:
    place.make()
    set_version(place, "9999")
    checked = place.run("db", "check")
    assert (checked.code, checked.err) == (3, "")
    assert ": schema version 9999, newer than this version of Ostiary" in checked.out
    for command in (*COMMANDS, ["db", "upgrade"], ["serve", "--port", "0"]):
        refused = place.run(*command)
        assert refused.code == 3
        assert "has schema version 9999, which this version of Ostiary does not know" in refused.line


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_do_not_begin_an_installation_by_the_way(place: Installation, command: list[str]) -> None:
    """Somebody in the wrong directory is told so."""
    refused = place.run(*command)
    assert refused.code == 3
    assert refused.line.startswith("there is no installation yet: ")
    assert not place.data_dir.exists()
    assert place.run("db", "check").code == 1


def test_commands_find_the_place_by_options_too(here: Installation, place: Installation) -> None:
    place.make()
    elsewhere = Installation(here.data_dir.parent / "elsewhere")
    options = ["--data-dir", str(place.data_dir)]
    if place.database_url is not None:
        options += ["--database-url", place.database_url]
    assert elsewhere.run("user", "list", "--json", *options).json["total"] == 1
    assert elsewhere.run("keys", "rotate", *options).code == 0
    assert not elsewhere.data_dir.exists()


@pytest.mark.rule("FL-1")
def test_commands_and_a_running_server_see_what_the_other_writes(place: Installation) -> None:
    """A process that came and went once took SQLite's log with it, and what the server wrote from then on was lost."""
    place.make()
    with place.serving() as client:
        for number in (2, 4):
            assert sign_up(client).id == number
            made = place.make(f"made-{number}")
            assert made == number + 1
            login = {"email": f"made-{number}@example.com", "password": PASSWORD}
            assert client.post("/auth/login", json=login).status_code == 200
            assert place.run("user", "list", "--json").json["total"] == made
        assert place.run("db", "check").code == 0
    assert place.run("user", "list", "--json").json["total"] == 5


@pytest.mark.rule("SK-2")
def test_wrong_secret_for_the_database_is_one_line(place: Installation) -> None:
    place.make()
    (place.data_dir / "secret.key").write_text("rX2k9vQm7Lw4Tz8Bn3Hc6Jd1Fs5Gp0Ya\n")
    for command in (["serve", "--port", "0"], ["keys", "rotate"]):
        refused = place.run(*command)
        assert refused.code == 3
        assert refused.line.startswith("the database belongs to another secret key")


@pytest.mark.rule("SK-2")
def test_lost_secret_is_not_replaced(here: Installation) -> None:
    here.make()
    (here.data_dir / "secret.key").unlink()
    for command in (["serve", "--port", "0"], ["keys", "rotate"]):
        refused = here.run(*command)
        assert refused.code == 3
        assert "secret.key is missing: put back the one" in refused.line
    assert not (here.data_dir / "secret.key").exists()
    assert here.run("user", "list").code == 0, "which needs no secret"


@pytest.mark.rule("SK-2")
def test_secret_that_others_can_read_is_one_line(here: Installation) -> None:
    here.make()
    (here.data_dir / "secret.key").chmod(0o640)
    for command in (["serve", "--port", "0"], ["keys", "rotate"]):
        refused = here.run(*command)
        assert refused.code == 3
        assert "others than its owner have access (mode 0640); chmod 600 it" in refused.line


def test_garbage_is_no_database(here: Installation) -> None:
    here.make()
    (here.data_dir / "ostiary.db").write_bytes(b"no database at all" * 1000)
    for command in (*COMMANDS, ["db", "check"], ["db", "upgrade"], ["serve", "--port", "0"]):
        refused = here.run(*command)
        assert refused.code == 3
        assert "file is not a database" in refused.line
        assert "ostiary.db" in refused.line


def test_locked_database_is_one_line(here: Installation) -> None:
    here.make()
    with closing(sqlite3.connect(here.data_dir / "ostiary.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = here.run("user", "promote", "1")
    assert refused.code == 3
    assert "database is locked" in refused.line


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://nobody@127.0.0.1:1/nothing", "database nothing at 127.0.0.1: ConnectionRefusedError"),
        ("postgresql://nobody@no-such-host.invalid/x?sslmode=require", "The database cannot be used"),
        ("sqlite:////dev/null/x.db", "x.db"),
    ],
)
def test_database_that_cannot_be_had_is_one_line(here: Installation, url: str, said: str) -> None:
    place = Installation(here.data_dir, url)
    for command in (["user", "list"], ["serve", "--port", "0"], ["db", "upgrade"]):
        refused = place.run(*command)
        assert refused.code == 3
        assert said in refused.line


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://user:hidden@db.example.com/x?sslmode=disable", "would let anybody on the way read"),
        ("postgresql://user:hidden@127.0.0.1/x?sslmode=sometimes", "sslmode must be one of"),
        ("postgresql://user:hidden@127.0.0.1:port/x", "its port is no number"),
        ("postgresql://user:hidden@127.0.0.1,127.0.0.2:99999/x", "its port is no number"),
        ("postgresql://user:hidden@[127.0.0.1/x", "cannot be read"),
        ("mysql://user:hidden@127.0.0.1/x", "must be postgresql://"),
    ],
)
def test_url_that_cannot_be_read_is_a_mistake_in_the_settings(here: Installation, url: str, said: str) -> None:
    for command in (["user", "list"], ["serve", "--port", "0"], ["db", "upgrade"]):
        refused = Installation(here.data_dir, url).run(*command)
        assert (refused.code, refused.out) == (2, "")
        assert re.fullmatch(r"ostiary: The settings have 1 mistake:\n  OSTIARY_DATABASE_URL .*\n", refused.err)
        assert said in refused.err
        assert "hidden" not in refused.err


def test_database_that_refuses_is_one_line(place: Installation) -> None:
    """Wrong user, no such database, a parameter that the server does not know."""
    if place.database_url is None:
        return
    base = place.database_url.rpartition("/")[0]
    for url in (f"{base}/no-such-database", f"{place.database_url}?no_such_parameter=1"):
        refused = Installation(place.data_dir, url).run("user", "list")
        assert refused.code == 3
        assert "no" in refused.line
