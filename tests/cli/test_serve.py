"""`ostiary serve`: from an empty directory to a working server, and its end."""

import re
import shlex
import subprocess
import threading
import time
from functools import partial
from typing import Any

import httpx
import pytest

from ostiary.login.signup import offer_setup
from tests.cli.command import Installation
from tests.conftest import MakeProcess, MakeServer, settings_for_tests
from tests.people import log_in, newcomer, patiently, refresh, sign_up, signed_in
from tests.server import Process, Server
from tests.sessions.beside import rows, write
from tests.sessions.waiting import wait_until

SETUP_TOKEN = re.compile(r'"token": "([A-Za-z0-9_-]{22,})"')
INVALID = {"detail": "This token is not valid (any more)", "code": "token_invalid"}


def all_printed(process: Process) -> str:
    """What was printed at start, which ends with the line about the reference."""
    deadline = time.monotonic() + 20
    while "API reference" not in process.printed:
        assert time.monotonic() < deadline, process.printed
        time.sleep(0.02)
    return process.printed


def setup_body(token: str) -> dict[str, Any]:
    return newcomer(token=token)


def place_of(server: Server) -> Installation:
    return Installation(server.settings.data_dir, server.settings.database_url)


def deactivate(server: Server, who: str) -> None:
    assert place_of(server).run("user", "deactivate", who).code == 0


@pytest.mark.rule("AD-1", "SK-2", "ST-1")
def test_empty_place_becomes_a_working_server_and_the_second_start_is_quiet(make_process: MakeProcess) -> None:
    process = make_process()
    printed = all_printed(process)
    assert printed.startswith(f"Ostiary listens on {process.url}   data: ")
    assert f"API reference: {process.url.replace('127.0.0.1', 'localhost')}/docs" in printed
    token = SETUP_TOKEN.findall(printed)[0]
    assert len(token) * 6 >= 128
    assert process.data_dir.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in process.data_dir.iterdir()} == {0o600}
    paste_into_a_shell(printed.replace("localhost", "127.0.0.1"))
    with process.client() as client:
        again = client.post("/setup", json=setup_body(token))
        assert (again.status_code, again.json()) == (400, INVALID)
    assert process.stop() == 0
    assert token not in process.log.read_text()

    process.log.unlink()
    process.start()
    lines = [line for line in all_printed(process).splitlines() if line]
    assert len(lines) == 2
    assert lines[0].startswith("Ostiary listens on ")
    assert lines[1].startswith("API reference: ")
    assert process.log.read_text() == ""
    assert not (process.data_dir / "backups").exists()


def paste_into_a_shell(printed: str) -> None:
    """Do what the first start says: three lines to try, and one for the first superuser."""
    lines = [line.strip() for line in printed.splitlines() if "curl" in line]
    assert len(lines) == 4
    ended = subprocess.run(["sh", "-c", "\n".join(lines[:3])], capture_output=True, text=True, check=True, timeout=60)
    signed_up, read = ended.stdout.replace("}{", "}\n{").splitlines()
    assert signed_up == read
    assert '"email":"user@example.com"' in read
    asked = shlex.split(lines[3].replace("CHOOSE-YOUR-OWN", "my-Own-choice-77"))
    answer = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout
    assert '"is_superuser":true' in answer


@pytest.mark.rule("AD-1")
def test_each_start_has_a_fresh_token_in_place_of_the_last(make_server: MakeServer) -> None:
    server = make_server()
    first, second = (write(server.settings, offer_setup, now=server.clock.now()) for _ in range(2))
    assert first is not None
    assert second is not None
    with server.client() as client:
        assert client.post("/setup", json=setup_body(first)).json() == INVALID
        assert client.post("/setup", json=setup_body(second)).status_code == 201


@pytest.mark.rule("AD-1")
def test_setup_token_lives_an_hour(make_server: MakeServer) -> None:
    server = make_server()
    token = write(server.settings, offer_setup, now=server.clock.now())
    assert token is not None
    server.clock.advance(hours=1)
    with server.client() as client:
        answer = client.post("/setup", json=setup_body(token))
        assert (answer.status_code, answer.json()) == (400, INVALID)
    assert rows(server.settings, "SELECT count(*) FROM users") == [(0,)]


@pytest.mark.rule("AD-1", "D2")
def test_setup_token_makes_one_superuser_however_many_try_at_once(make_server: MakeServer) -> None:
    server = make_server()
    token = write(server.settings, offer_setup, now=server.clock.now())
    assert token is not None
    statuses = []

    def attempt() -> None:
        with server.client() as client:
            answer = patiently(partial(client.post, "/setup", json=setup_body(token)))
            statuses.append(answer.status_code)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [400] * 7
    assert rows(server.settings, "SELECT count(*) FROM users") == [(1,)]


@pytest.mark.rule("AD-1", "D3")
def test_setup_token_is_worth_nothing_once_there_is_a_superuser(make_server: MakeServer) -> None:
    server = make_server()
    token = write(server.settings, offer_setup, now=server.clock.now())
    assert token is not None
    place_of(server).make(is_superuser=True)
    with server.client() as client:
        assert client.post("/setup", json=setup_body(token)).json() == INVALID
    assert write(server.settings, offer_setup, now=server.clock.now()) is None
    assert rows(server.settings, "SELECT count(*) FROM users WHERE is_superuser") == [(1,)]


@pytest.mark.rule("AD-1")
def test_refused_setup_leaves_the_token_good(make_server: MakeServer) -> None:
    server = make_server()
    token = write(server.settings, offer_setup, now=server.clock.now())
    assert token is not None
    with server.client() as client:
        taken = sign_up(client)
        for spoilt in ({"password": "password123"}, {"email": taken.email}, {"username": "x"}, {"token": "no-such"}):
            assert client.post("/setup", json=setup_body(token) | spoilt).status_code == 400
        assert client.post("/setup", json=setup_body(token)).status_code == 201


@pytest.mark.rule("TK-6", "TK-7", "D1")
def test_deactivating_by_command_takes_effect_at_once(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person, other = signed_in(client), signed_in(client)
        assert client.get(f"/users/{person.id}", headers=person.auth).status_code == 200
        deactivate(server, person.email)
        assert client.get(f"/users/{person.id}", headers=person.auth).status_code == 401
        assert refresh(client, person.refresh_token).status_code == 401
        login = {"email": person.email, "password": person.password}
        assert client.post("/auth/login", json=login).status_code == 401
        assert client.get(f"/users/{person.id}", headers=other.auth).status_code == 200, "nobody else"
        place_of(server).run("user", "activate", person.email)
        assert client.get(f"/users/{person.id}", headers=person.auth).status_code == 401, "what ended stays ended"
        assert refresh(client, person.refresh_token).status_code == 401
        again = log_in(client, person)
        assert client.get(f"/users/{person.id}", headers=again.auth).status_code == 200


@pytest.mark.rule("TK-6", "TK-7", "AD-6")
def test_deleting_by_command_takes_effect_at_once(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person, other = signed_in(client), signed_in(client)
        assert place_of(server).run("user", "delete", person.email, "--yes").code == 0
        assert client.get(f"/users/{person.id}", headers=person.auth).status_code == 401
        assert refresh(client, person.refresh_token).status_code == 401
        assert client.get(f"/users/{person.id}", headers=other.auth).status_code == 404
        assert sign_up(client, email=person.email).id > other.id
    assert rows(server.settings, "SELECT count(*) FROM sessions WHERE user_id = ?", person.id) == [(0,)]


@pytest.mark.rule("TK-6")
def test_promoting_by_command_takes_effect_at_once(make_server: MakeServer) -> None:
    server = make_server(directory_visibility="self")
    with server.client() as client:
        person, other = signed_in(client), sign_up(client)
        for command, status in (("promote", 200), ("demote", 404)):
            if command == "demote":
                place_of(server).make(is_superuser=True)
            assert place_of(server).run("user", command, person.email).code == 0
            assert client.get(f"/users/{other.id}", headers=person.auth).status_code == status


@pytest.mark.rule("FL-1")
def test_told_to_stop_it_finishes_what_it_accepted(make_process: MakeProcess) -> None:
    process = make_process(OSTIARY_LOGIN_FAILURE_FLOOR="3s")
    all_printed(process)
    answers: list[httpx.Response] = []

    def fail_to_log_in() -> None:
        with process.client() as client:
            answers.append(client.post("/auth/login", json={"email": "nobody@example.com", "password": "anything"}))

    waiting = threading.Thread(target=fail_to_log_in)
    waiting.start()
    settings = settings_for_tests(process.data_dir, process.database_url)
    failed = "SELECT count(*) FROM audit_log WHERE event = 'login_failed'"
    wait_until(lambda: rows(settings, failed) == [(1,)])  # it is answered three seconds after it came
    assert process.stop() == 0
    waiting.join(20)
    assert [answer.status_code for answer in answers] == [401]
    with pytest.raises(httpx.ConnectError), process.client() as client:
        client.get("/health")
    left = {path.name for path in process.data_dir.iterdir()}
    assert left <= {"secret.key", "ostiary.db", "audit-checkpoints.jsonl"}, "the write-ahead log is folded in"
    assert "Traceback" not in process.log.read_text()
