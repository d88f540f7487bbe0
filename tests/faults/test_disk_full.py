"""No space left under SQLite: who only reads is served, who writes is told to come again, and it heals by itself."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from ostiary.audit.sealing.checkpoints import FILE
from ostiary.mail.outbox import LEASE
from ostiary.settings import Settings
from tests.conftest import MakeServer, settings_for_tests
from tests.faults.figures import Figures
from tests.faults.intact import ENVIRONMENT, SLACK, assert_intact
from tests.ledger import Ledger
from tests.mails import mail_to
from tests.parts.disk import SmallDisk
from tests.people import Person, newcomer, refresh, signed_in
from tests.server import Process
from tests.sessions.beside import rows
from tests.sessions.waiting import wait_until

pytestmark = pytest.mark.timeout(3600)

HEALED_SECONDS = 5.0
"""What FL-2 allows."""
UNAVAILABLE = {"detail": "Service temporarily unavailable"}


@pytest.fixture(params=["no space", "file too large"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk without space, and one where files may not grow, which is another error to SQLite."""
    with SmallDisk(tmp_path / "disk", is_mounted=request.param == "no space") as disk:
        yield disk


@pytest.mark.rule("FL-2", "FL-6", "ST-1")
def test_a_full_disk_stops_writes_and_nothing_else(
    disk: SmallDisk, figures: Figures, request: pytest.FixtureRequest
) -> None:
    """The log, mail and the checkpoints of the audit log are on that disk as well."""
    figures.fault = f"the disk of SQLite, the log and mail is full ({request.node.callspec.params['disk']})"
    settings, slowest = settings_for_tests(disk.path / "data", None), 0.0
    with Process(disk.path / "data", environment=ENVIRONMENT) as process, process.client() as client:
        reader = signed_in(client)
        ledger = Ledger(lambda: process.url, people=3, pause_seconds=0)
        for _ in figures.times(1, long=20):
            with ledger:
                ledger.go_on(writes=2)
                disk.fill(process.pid)
                failures = ledger.found.server_errors[503]
                wait_until(lambda before=failures: ledger.found.server_errors[503] > before + 3)  # type: ignore[misc]
                assert_reads_go_on(process, client, reader)
                assert_writes_wait(client, reader)
                disk.empty(process.pid)
                slowest = max(slowest, ledger.go_on(writes=1))
            found = ledger.check()
            assert found.is_clean, found
            assert set(found.server_errors) == {503}
            assert not found.unanswered
        # A mail that was in hand when not even that could be written down is tried again when its lease is over.
        latest = 1000 * (time.time() + LEASE.total_seconds())
        assert all(due <= latest for (due,) in rows(settings, "SELECT due_at FROM mail_outbox"))
        assert refresh(client, reader.refresh_token).status_code == 200
    figures["acts acknowledged"] = ledger.found.acts
    figures["acts answered 503"] = ledger.found.server_errors[503]
    figures.at_most("acknowledged and lost", len(ledger.found.lost), 0)
    figures.at_most("everybody served again, s", slowest, HEALED_SECONDS)
    assert slowest < SLACK * HEALED_SECONDS
    assert_whole(settings)
    assert "unhandled_error" not in process.log.read_text()


@pytest.mark.rule("FL-2")
def test_a_start_on_a_full_disk_says_so_and_succeeds_later(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk") as disk:
        with Process(disk.path / "data", environment=ENVIRONMENT) as process, process.client() as client:
            person = signed_in(client)
        disk.fill()
        process.log.unlink()
        process.log = tmp_path / "log"
        process.launch()
        code = process.wait()
        assert code == 3
        said = process.log.read_text()
        assert "disk is full" in said
        assert "Traceback" not in said
        disk.empty()
        with process, process.client() as client:
            assert refresh(client, person.refresh_token).status_code == 200


@pytest.mark.any_engine
@pytest.mark.rule("FL-2", "FL-4")
def test_files_that_cannot_be_written_are_no_business_of_callers(make_server: MakeServer, tmp_path: Path) -> None:
    """The file of checkpoints and the directory of mail: something else has their names."""
    data_dir = tmp_path / "data"
    (data_dir / FILE).mkdir(parents=True)
    (data_dir / "mail").write_text("in the way")
    server = make_server(data_dir=data_dir, database_url=None)
    with server.client() as client:
        person = signed_in(client)
        assert client.post("/auth/logout", headers=person.auth).status_code == 204
        server.clock.advance(minutes=3)
        assert httpx.get(f"{server.url}/readyz", trust_env=False).status_code == 200
        (data_dir / FILE).rmdir()
        (data_dir / "mail").unlink()
        signed_in(client)
        server.clock.advance(hours=3)  # checkpoints are written once a minute, mail is tried again within two hours
        wait_until((data_dir / FILE).is_file)
        mail_to(server.settings, person.email)
    assert_intact(server.settings)


def assert_reads_go_on(process: Process, client: httpx.Client, reader: Person) -> None:
    assert client.get("/users/me", headers=reader.auth).json() == reader.user
    assert client.get("/users", headers=reader.auth).status_code == 200
    assert client.get("/users/me", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert client.get("/health").json() == {"status": "healthy", "database": "healthy"}
    assert httpx.get(f"{process.url}/livez", trust_env=False).status_code == 200


def assert_writes_wait(client: httpx.Client, reader: Person) -> None:
    """What fits into space that the file had already may still be written, a moment longer: so several times."""
    login = {"email": reader.email, "password": reader.password}
    asks: list[Callable[[], httpx.Response]] = [
        lambda: client.post("/users", json=newcomer()),
        lambda: client.post("/auth/login", json=login),
        lambda: client.post("/auth/login", json=login | {"password": "wrong"}),
        lambda: client.patch("/users/me", headers=reader.auth, json={"username": "never"}),
    ]
    for ask in asks:
        began_at = time.monotonic()
        answer = ask()
        assert answer.status_code == 503, answer.text
        assert answer.json() == UNAVAILABLE
        assert int(answer.headers["Retry-After"]) >= 1
        assert time.monotonic() - began_at < SLACK


def assert_whole(settings: Settings) -> None:
    """No half of anything: in the database, among the letters, in the file of checkpoints."""
    assert_intact(settings)
    letters = list((settings.data_dir / "mail").glob("*.eml"))  # what is being written has another name
    assert [letter for letter in letters if not letter.read_bytes().rstrip().endswith(b"--")] == []
    [(promised,)] = rows(settings, "SELECT count(*) FROM users")
    [(waiting,)] = rows(settings, "SELECT count(*) FROM mail_outbox WHERE message = 'verify_address'")
    assert waiting + sum("-verify_address-" in letter.name for letter in letters) >= promised > 0
