"""Each fault that the doctor knows is planted, and found by its name; and nothing is found where nothing is wrong."""

import asyncio
import os
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ostiary.audit.events import Event
from ostiary.audit.origin import OPERATOR
from ostiary.audit.recording import record
from ostiary.doctor import connections, storage
from ostiary.doctor.choices import judge_mistakes
from ostiary.doctor.examining import exit_code
from ostiary.doctor.faults import FAULTS, Finding, Severity
from ostiary.settings import Settings, SettingsError
from tests.doctor.patients import Case, copied, make_well
from tests.parts.postgres import Postgres, available
from tests.parts.smtp import MailServer
from tests.parts.valkey import Valkey
from tests.people import sign_up
from tests.server import Server
from tests.sessions.beside import rows, write

pytestmark = pytest.mark.any_engine

FAR = {"public_url": "https://accounts.example.com", "trusted_proxies": "10.0.0.1", "directory_visibility": "self"}
FAR |= {"api_docs": "off", "mail_url": "smtp://127.0.0.1:9", "mail_from": "no-reply@example.com"}
SECRET = "f3b1c9e07a5d4862b9e4d17c60a8f25e"
NFS = "server:/export {} nfs4 rw 0 0\n"


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test takes to look at a clock that stands still is no difference."""
    monkeypatch.setattr(storage, "CLOCKS_MAY_DIFFER", timedelta(minutes=1))


def sql(case: Case, *statements: str) -> None:
    for statement in statements:
        rows(case.settings, statement)


def old_copy(case: Case) -> None:
    long_ago = time.time() - 5 * 24 * 3600
    os.utime(case.data_dir / "backups" / "today", (long_ago, long_ago))


def mail_that_waits(case: Case) -> None:
    """Somebody signs up while nothing takes mail, and a day goes by."""
    case.options |= {"mail_url": "smtp://127.0.0.1:9", "mail_from": "a@example.com"}
    with Server(case.settings) as server, server.client() as client:
        sign_up(client)
    case.clock.advance(hours=20)


def unsealed_row(case: Case) -> None:
    write(case.settings, record, Event.USER_PROMOTED, OPERATOR, user_id=1, now=case.clock.now())
    case.clock.advance(minutes=20)


def no_database(case: Case) -> None:
    (case.data_dir / "ostiary.db").write_bytes(b"no database" * 1000)


def schema_of_newer(case: Case) -> None:
    sql(case, "UPDATE alembic_version SET version_num = '9999'")
    sql(case, "UPDATE schema_compatibility SET oldest_server = '9999'")


def changed(**options: str) -> Callable[[Case], None]:
    return lambda case: case.options.update(options)


def mounted(case: Case) -> None:
    case.mounts.write_text("none / ext4 rw 0 0\n" + NFS.format(case.data_dir.parent))


PLANTS: dict[str, Callable[[Case], None]] = {
    "check-failed": lambda case: sql(case, "DROP TABLE mail_outbox"),
    "public-url-not-https": changed(**FAR | {"public_url": "http://accounts.example.com"}),
    "trusted-proxies-too-wide": changed(**FAR | {"trusted_proxies": "10.0.0.0/7"}),
    "proxies-not-trusted": changed(**FAR | {"trusted_proxies": ""}),
    "rate-limit-off": changed(rate_limit="off"),
    "members-see-each-other": changed(**FAR | {"directory_visibility": "members"}),
    "api-docs-public": changed(**FAR | {"api_docs": "on"}),
    "mail-goes-to-files": changed(**FAR | {"mail_url": "file:"}),
    "mail-server-away": changed(mail_url="smtp://127.0.0.1:9", mail_from="a@example.com"),
    "mail-waits": mail_that_waits,
    "secret-unusable": lambda case: (case.data_dir / "secret.key").chmod(0o644),
    "secret-of-another-database": changed(secret_key=SECRET),
    "data-dir-open": lambda case: case.data_dir.chmod(0o755),
    "file-open": lambda case: (case.data_dir / "ostiary.db").chmod(0o640),
    "data-dir-on-network": mounted,
    "disk-almost-full": lambda case: setattr(case, "free_bytes", 1_000_000),
    "backup-missing-or-old": old_copy,
    "database-unreachable": no_database,
    "installation-missing": lambda case: (case.data_dir / "ostiary.db").unlink(),
    "schema-older": lambda case: sql(case, "UPDATE alembic_version SET version_num = '0003'"),
    "schema-newer": schema_of_newer,
    "signing-key-missing": lambda case: sql(case, "UPDATE signing_keys SET revoked_at = 1"),
    "signing-key-overdue": lambda case: case.clock.advance(days=120),
    "audit-not-sealed": unsealed_row,
    "redis-away": changed(redis_url="redis://127.0.0.1:9"),
    "server-away": lambda case: setattr(case, "url", "http://127.0.0.1:9"),
}
"""What makes an installation that is well have each fault, on SQLite."""

ELSEWHERE = {
    "setting-unknown",
    "setting-wrong",
    "few-open-files",
    "database-slow",
    "server-not-ready",
    "clock-differs",
    "forwarded-for-believed",
}
"""Planted in tests of their own."""


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of an installation that is well."""
    data_dir = tmp_path_factory.mktemp("well") / "data"
    make_well(data_dir, None)
    return data_dir


@pytest.fixture
def case(well: Path, tmp_path: Path) -> Case:
    """A copy of it."""
    return copied(well, tmp_path)


@contextmanager
def open_files(most: int) -> Iterator[None]:
    """Let this process have so many, for a while."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def test_every_fault_is_planted_somewhere() -> None:
    assert PLANTS.keys() | ELSEWHERE | ON_POSTGRES.keys() == FAULTS.keys()
    assert not PLANTS.keys() & ELSEWHERE
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert name == name.lower()
        assert fault.means.endswith(".")
        assert fault.mend.endswith(".")


def test_nothing_is_found_where_nothing_is_wrong(case: Case) -> None:
    assert case.names() == set()
    with MailServer() as mail:
        case.options |= FAR | {"mail_url": mail.url}
        assert case.names() == set()
        assert mail.taken == []


def test_redis_that_counts_is_found_well(case: Case) -> None:
    with Valkey() as valkey:
        case.options["redis_url"] = valkey.url
        assert case.names() == set()


@pytest.mark.parametrize("name", sorted(PLANTS))
def test_planted_fault_is_found(case: Case, name: str) -> None:
    PLANTS[name](case)
    found = {finding.fault.name: finding for finding in case.findings()}
    assert name in found
    assert "\n" not in found[name].says
    assert exit_code(found.values()) >= {"note": 0, "warning": 1, "error": 2}[FAULTS[name].severity]


def test_examination_changes_nothing(case: Case) -> None:
    def everything() -> dict[str, tuple[bytes, int]]:
        with closing(sqlite3.connect(case.data_dir / "ostiary.db")) as connection:
            dump = "\n".join(connection.iterdump()).encode()
        files = [path for path in sorted(case.data_dir.rglob("*")) if path.suffix not in {".db-wal", ".db-shm", ".db"}]
        found = {str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mode) for path in files}
        return found | {"dump": (dump, 0)}

    before = everything()
    case.names()
    after = everything()
    assert {name: value for name, value in after.items() if "ostiary.db-" not in name} == {
        name: value for name, value in before.items() if "ostiary.db-" not in name
    }


def test_empty_place_stays_empty(tmp_path: Path) -> None:
    case = Case(tmp_path / "data")
    assert case.names() == {"installation-missing"}
    assert not case.data_dir.exists()


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [("OSTIARY_PUBLC_URL", "x", "setting-unknown"), ("OSTIARY_PORT", "many", "setting-wrong")],
)
def test_settings_that_cannot_be_used_are_findings(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        Settings.load()
    assert [finding.fault.name for finding in judge_mistakes(error.value)] == [name]
    assert variable in str(next(iter(judge_mistakes(error.value))).says)


def test_few_open_files_are_found(case: Case) -> None:
    with open_files(700):
        assert "few-open-files" in case.names()


def test_slow_database_is_found(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "SLOW_SECONDS", -1)
    assert case.names() == {"database-slow"}


@pytest.fixture
def serving(well: Path, tmp_path: Path) -> Iterator[tuple[Case, Server]]:
    """A server that believes whoever is on this machine, and whose doctor does not know that."""
    case = copied(well, tmp_path)
    case.options["trusted_proxies"] = "127.0.0.1"
    with Server(case.settings) as server:
        case.url, case.clock = server.url, server.clock
        yield case, server


def test_server_that_is_well_is_found_well(serving: tuple[Case, Server]) -> None:
    case, _ = serving
    assert case.names() == set()


def test_server_that_believes_strangers_is_found(serving: tuple[Case, Server]) -> None:
    case, _ = serving
    case.options["trusted_proxies"] = ""
    assert case.names() == {"forwarded-for-believed"}


def test_server_that_believes_nobody_is_found_well(case: Case) -> None:
    with Server(case.settings) as server:
        case.url = server.url
        assert case.names() == set()


def test_server_that_cannot_serve_is_found(serving: tuple[Case, Server]) -> None:
    case, _ = serving
    sql(case, "UPDATE alembic_version SET version_num = '0003'")
    assert {"server-not-ready", "schema-older"} <= case.names()


def test_clock_that_differs_from_a_servers_is_found(serving: tuple[Case, Server]) -> None:
    case, _ = serving
    case.clock.step(minutes=2)
    assert "clock-differs" in case.names()


ON_POSTGRES: dict[str, Any] = {
    "database-too-old": (storage, "OLDEST_POSTGRES", 990_000),
    "few-connections-left": (connections, "POOL_SIZE", 10_000),
    "database-not-durable": "ALTER DATABASE {} SET synchronous_commit = off",
    "owner-not-separate": None,
}


def test_faults_of_postgres_are_found(
    postgres_servers: Callable[[str], Postgres], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_servers(list(available())[-1]).create_database()
    make_well(tmp_path / "data", url)
    case = Case(tmp_path / "data", url)
    assert case.names() == {"owner-not-separate"}
    case.options["database_owner_url"] = url
    assert case.names() == set()
    for name in ("database-too-old", "few-connections-left"):
        with monkeypatch.context() as planted:
            planted.setattr(*ON_POSTGRES[name])
            assert case.names() == {name}
    case.clock.step(minutes=2)
    assert case.names() == {"clock-differs"}
    case.clock.step(minutes=-2)
    asyncio.run(_execute(url, ON_POSTGRES["database-not-durable"].format(url.rpartition("/")[2])))
    assert case.names() == {"database-not-durable"}
    case.database_url = url.replace(url.rpartition("/")[2], "nowhere")
    case.options.pop("database_owner_url")
    assert "database-unreachable" in case.names()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def test_exit_code_is_that_of_the_worst() -> None:
    by_severity = {fault.severity: Finding(fault, "") for fault in FAULTS.values()}
    assert exit_code([]) == 0
    assert exit_code([by_severity[Severity.NOTE]]) == 0
    assert exit_code([by_severity[Severity.NOTE], by_severity[Severity.WARNING]]) == 1
    assert exit_code(by_severity.values()) == 2
