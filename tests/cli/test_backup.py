"""`ostiary db backup`, `restore` and `verify`."""

import gzip
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.api_keys.keys import made_key
from tests.cli.command import Installation
from tests.cli.test_db import set_version
from tests.conftest import NewDatabase
from tests.ledger import Ledger
from tests.people import bearer, log_in, refresh, sign_up, signed_in
from tests.server import clean_environment
from tests.sessions.answers import assert_refused, works
from tests.sessions.beside import rows, write


@pytest.fixture
def another(place: Installation, new_database: NewDatabase) -> Callable[..., Installation]:
    """Empty places for the same secret."""
    numbers = iter(range(100))

    def make(url: str | None = None) -> Installation:
        data_dir = place.data_dir.with_name(f"restored-{next(numbers)}")
        data_dir.mkdir(mode=0o700)
        (data_dir / "secret.key").write_bytes((place.data_dir / "secret.key").read_bytes())
        (data_dir / "secret.key").chmod(0o600)
        return Installation(data_dir, url or new_database())

    return make


def secret_of(place: Installation) -> str:
    return (place.data_dir / "secret.key").read_text().strip()


def backup_of(place: Installation) -> Path:
    made = place.run("db", "backup", "--json")
    return Path(made.json["file"])


@pytest.mark.rule("ST-3", "FL-1")
def test_backup_beside_a_writing_server_holds_what_was_acknowledged(
    place: Installation, another: Callable[..., Installation]
) -> None:
    """What was revoked or spent before stays so; what was acknowledged before is there; and nothing is half."""
    place.make("root", is_superuser=True)
    with place.serving() as client:
        idle, leaver, rotated = signed_in(client), signed_in(client), signed_in(client)
        spent = rotated.refresh_token
        rotated.refresh_token = refresh(client, spent).json()["refresh_token"]
        assert client.post("/auth/logout", headers=leaver.auth).status_code == 204
        live_key, dead_key = made_key(client, idle), made_key(client, idle)
        assert client.delete(f"/api-keys/{dead_key['id']}", headers=idle.auth).status_code == 204
        with Ledger(lambda: root_of(client), people=3, seed=1) as before:
            before.go_on()
        with Ledger(lambda: root_of(client), people=3, seed=2) as meanwhile:
            meanwhile.go_on()
            file = backup_of(place)
            meanwhile.go_on()
            last = sign_up(client).id
        assert meanwhile.check().is_clean, meanwhile.found
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    there = another()
    assert there.run("db", "restore", str(file)).code == 0
    with there.serving() as client:
        assert before.check(root_of(client)).is_clean, before.found
        assert_refused(refresh(client, leaver.refresh_token))
        assert not works(client, leaver.access_token)
        assert client.get("/users/me", headers=bearer(live_key["key"])).status_code == 200
        assert_refused(client.get("/users/me", headers=bearer(dead_key["key"])))
        assert works(client, idle.access_token)
        assert refresh(client, idle.refresh_token).status_code == 200
        assert refresh(client, rotated.refresh_token).status_code == 200
        assert 1 < sign_up(client).id <= last
    assert there.run("audit", "verify").code == 0
    assert there.run("db", "verify", str(file)).code == 0
    audited = there.run("audit", "list", "--event", "database_restored", "--json")
    assert '"sessions":0' in audited.out or '"sessions": 0' in audited.out


def root_of(client: httpx.Client) -> str:
    """Where the server of a client is."""
    return str(client.base_url).removesuffix("/").removesuffix("/api/v1")


@pytest.mark.any_engine
def test_sessions_are_ended_on_demand(place: Installation, another: Callable[..., Installation]) -> None:
    with place.serving() as client:
        person, later = signed_in(client), signed_in(client)
        file = backup_of(place)
        newer = refresh(client, later.refresh_token).json()["refresh_token"]
    kept = another()
    said = kept.run("db", "restore", str(file))
    assert "are good again" in said.err
    with kept.serving() as client:
        assert_refused(refresh(client, newer))
        assert refresh(client, later.refresh_token).status_code == 200, "which is why one may end all sessions"
    ended = another()
    assert ended.run("db", "restore", str(file), "--end-sessions", "--json").json["sessions_ended"] == 2
    with ended.serving() as client:
        for token in (person.refresh_token, later.refresh_token, newer):
            assert_refused(refresh(client, token))
        log_in(client, person)
    assert {reason for (reason,) in rows(ended.settings, "SELECT revoked_because FROM sessions")} == {"restored", None}


def test_restore_leaves_alone_what_is_there(place: Installation, another: Callable[..., Installation]) -> None:
    place.make()
    file = backup_of(place)
    other = another()
    other.make("other")
    for target in (place, other):
        before = target.run("user", "list", "--json").out
        refused = target.run("db", "restore", str(file))
        assert refused.code == 3
        assert "nothing was changed" in refused.line
        assert target.run("user", "list", "--json").out == before


def test_log_of_a_lost_database_is_not_taken_for_the_new_ones(here: Installation) -> None:
    here.make()
    file = backup_of(here)
    (here.data_dir / "ostiary.db").rename(here.data_dir / "ostiary.db-wal")
    refused = here.run("db", "restore", str(file))
    assert refused.code == 3
    assert "ostiary.db-wal exists" in refused.line
    (here.data_dir / "ostiary.db-wal").unlink()
    assert here.run("db", "restore", str(file)).code == 0


@pytest.mark.rule("SK-2")
def test_backup_is_of_one_secret(here: Installation) -> None:
    here.make()
    file = backup_of(here)
    secret = here.data_dir / "secret.key"
    assert secret.read_text().strip() not in gzip.decompress(file.read_bytes()).decode()
    there = Installation(here.data_dir.with_name("there"))
    for command in ("restore", "verify"):
        refused = there.run("db", command, str(file))
        assert refused.code == 3
        assert "secret.key is missing: put the secret of the installation there" in refused.line
    assert not there.data_dir.exists()
    other = Installation(there.data_dir, None, {"OSTIARY_SECRET_KEY": "rX2k9vQm7Lw4Tz8Bn3Hc6Jd1Fs5Gp0Ya"})
    for command in ("restore", "verify"):
        refused = other.run("db", command, str(file))
        assert refused.code == 3
        assert "the backup belongs to another secret key" in refused.line
    listed = Installation(
        there.data_dir, None, other.environment | {"OSTIARY_SECRET_KEY_PREVIOUS": secret.read_text().strip()}
    )
    assert listed.run("db", "restore", str(file)).code == 0
    assert listed.run("keys", "list").code == 0
    secret.unlink()
    refused = here.run("db", "backup")
    assert refused.code == 3
    assert "secret.key is missing" in refused.line


def test_file_that_cannot_be_trusted_is_refused(here: Installation) -> None:
    here.make()
    bad = backup_of(here)
    bad.write_bytes(bad.read_bytes()[:-8])
    there = Installation(here.data_dir.with_name("there"), None, {"OSTIARY_SECRET_KEY": secret_of(here)})
    refused = there.run("db", "restore", str(bad))
    assert refused.code == 1
    assert refused.line == "The backup cannot be used: it is cut off"
    assert list(there.data_dir.iterdir()) == []
    verified = there.run("db", "verify", str(bad))
    assert (verified.code, verified.out) == (1, "The backup cannot be used: it is cut off\n")


@pytest.mark.rule("ST-3")
def test_newer_schema_is_refused(place: Installation, another: Callable[..., Installation]) -> None:
    place.make()
    set_version(place, "9999")
    refused = place.run("db", "backup")
    assert refused.code == 3
    assert "has schema version 9999, which this version of Ostiary does not know" in refused.line
    assert another().run("db", "backup").code == 3


def test_backup_is_whole_under_its_name_or_not_there(here: Installation) -> None:
    here.make()
    target = here.data_dir.parent / "x.backup"
    target.write_text("mine")
    refused = here.run("db", "backup", str(target))
    assert refused.code == 1
    assert "exists already: --force replaces it" in refused.line
    assert target.read_text() == "mine"
    assert here.run("db", "backup", str(target), "--force").code == 0
    assert here.run("db", "verify", str(target)).code == 0
    for nowhere in ("no/such/directory/x", str(here.data_dir)):
        assert here.run("db", "backup", nowhere).code in {1, 3}
    assert sorted(path.name for path in here.data_dir.parent.iterdir()) == ["data", "x.backup"]


def test_newest_backup_is_verified_unless_one_is_named(here: Installation) -> None:
    here.make()
    refused = here.run("db", "verify")
    assert refused.code == 3
    assert "there is no backup in" in refused.line
    file = backup_of(here)
    file.with_name("ostiary-20200101T000000Z.backup").write_bytes(b"old")
    good = here.run("db", "verify", "--json").json
    assert (good["file"], good["findings"], good["rows"]["users"]) == (str(file), [], 1)
    file.with_name("ostiary-99990101T000000Z.backup").write_bytes(b"cut off")
    assert here.run("db", "verify").code == 1


@pytest.mark.any_engine
def test_verify_finds_what_was_wrong_before_the_backup(place: Installation) -> None:
    place.make()
    place.run("keys", "rotate", "--now")
    place.run("audit", "verify")
    for change in (
        "UPDATE user_count_changes SET change = 7",
        "UPDATE signing_keys SET sealed_private_jwk = SUBSTR(sealed_private_jwk, 1, 20)",
        "UPDATE audit_log SET details = '{}'",
    ):
        write(place.settings, lambda connection, change=change: connection.exec_driver_sql(change))  # type: ignore[misc]
    found = place.run("db", "verify", str(backup_of(place)))
    assert found.code == 1
    assert "the counts of users are not those of the users" in found.out
    assert "cannot be unsealed with the secret" in found.out
    assert "audit log: place 1" in found.out


@pytest.mark.any_engine
def test_backup_goes_down_a_pipe(place: Installation, tmp_path: Path) -> None:
    place.make()
    command = [sys.executable, "-m", "ostiary", "db", "backup", "-", "--data-dir", str(place.data_dir)]
    answer = subprocess.run(command, capture_output=True, env=clean_environment(), check=True, timeout=60)
    (tmp_path / "piped").write_bytes(answer.stdout)
    assert place.run("db", "verify", str(tmp_path / "piped")).code == 0


@pytest.mark.any_engine
def test_copy_of_a_sqlite_file_is_restored_like_a_backup(
    place: Installation, another: Callable[..., Installation], new_postgres: Callable[[], str]
) -> None:
    """Such as an upgrade leaves behind."""
    place.make("ann")
    copy = place.data_dir.parent / "before-upgrade.db"
    with closing(sqlite3.connect(place.data_dir / "ostiary.db")) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    before = copy.read_bytes()
    assert place.run("db", "verify", str(copy)).code == 0
    for there in (another(), another(new_postgres())):
        assert there.run("db", "restore", str(copy)).code == 0
        assert there.run("user", "list", "--json").json["total"] == 1
    assert copy.read_bytes() == before
    for spoil, code, said in (
        (before[: len(before) // 2], 1, "The backup cannot be used: "),
        (b"SQLite format 3\0", 1, "The backup cannot be used: "),
    ):
        copy.write_bytes(spoil)
        refused = another().run("db", "restore", str(copy))
        assert refused.code == code
        assert refused.line.startswith(said)
    copy.write_bytes(before)
    for change, code, said in (
        ("DELETE FROM users", 1, "The backup cannot be used: a row of the table passwords belongs to one of users"),
        ("UPDATE alembic_version SET version_num = '9999'", 3, "has schema version 9999"),
        ("DROP TABLE alembic_version", 1, "The backup cannot be used: it is no database of Ostiary"),
    ):
        with closing(sqlite3.connect(copy)) as target, target:
            target.execute(change)
        refused = another().run("db", "restore", str(copy))
        assert refused.code == code
        assert said in refused.line
    copy.with_name(f"{copy.name}-wal").write_bytes(b"frames")
    assert "is no copy, but a database that was in use" in another().run("db", "restore", str(copy)).line


def test_ids_of_those_who_came_later_are_given_to_nobody(
    place: Installation, another: Callable[..., Installation]
) -> None:
    place.make("ann")
    there = another()
    assert there.run("db", "restore", str(backup_of(place)), "--skip-ids", "1000").code == 0
    assert there.make("bob") in {1002, 1003}
