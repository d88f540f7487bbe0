"""How a server stops: it says so first, and answers what it accepted and what is on its way."""

import http.client
import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.audit.inside import audit_rows
from tests.conftest import MakeProcess, settings_for_tests
from tests.people import Person, log_in, sign_up, signed_in
from tests.server import Process
from tests.sessions.waiting import wait_until

CALLERS = 6


class Caller(threading.Thread):
    """Asks over one connection, without a pause, until the server has announced that it closes it."""

    def __init__(self, process: Process, person: Person) -> None:
        super().__init__(daemon=True)
        self._address = httpx.URL(process.url)
        self._refresh_token = person.refresh_token
        self.answered = 0
        self.outcome = ""

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._address.host, self._address.port, timeout=30)
        connection.connect()
        try:
            while not self.outcome:
                assert connection.sock is not None
                if select.select([connection.sock], [], [], 0)[0]:
                    self.outcome = "closed while idle"  # a machine so busy that this thread slept meanwhile
                    return
                self._ask(connection)
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.outcome = repr(error)
        finally:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        body = json.dumps({"refresh_token": self._refresh_token})
        connection.request("POST", "/api/v1/auth/refresh", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        tokens = json.loads(answer.read())
        if answer.status != 200:
            self.outcome = f"{answer.status} {tokens}"
            return
        self._refresh_token = tokens["refresh_token"]
        self.answered += 1
        if answer.getheader("Connection", "").lower() == "close":
            self.outcome = "announced"


@contextmanager
def callers_of(process: Process) -> Iterator[list[Caller]]:
    with process.client() as client:
        callers = [Caller(process, signed_in(client)) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    wait_until(lambda: all(caller.answered > 2 for caller in callers))
    yield callers
    for caller in callers:
        caller.join(30)


@pytest.mark.rule("FL-1")
@pytest.mark.parametrize("delay", ["0s", "1s"])
def test_every_request_on_an_open_connection_is_answered(make_process: MakeProcess, delay: str) -> None:
    process = make_process(OSTIARY_SHUTDOWN_DELAY=delay, OSTIARY_RATE_LIMIT="off")
    with callers_of(process) as callers:
        assert process.stop() == 0
    assert {caller.outcome for caller in callers} <= {"announced", "closed while idle"}
    assert "announced" in {caller.outcome for caller in callers}
    assert "Traceback" not in process.log.read_text()


@pytest.mark.any_engine
@pytest.mark.rule("FL-1")
def test_a_body_that_is_being_sent_may_be_finished(make_process: MakeProcess) -> None:
    process = make_process()
    body = json.dumps({"email": "late@example.com", "username": "late", "password": "correct-horse-Battery-9"}).encode()
    head = b"POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    url = httpx.URL(process.url)
    with socket.create_connection((url.host, url.port), timeout=30) as connection:
        connection.sendall(head % len(body) + body[:20])
        time.sleep(0.3)
        ending = threading.Thread(target=lambda: codes.append(process.stop()))
        codes: list[int] = []
        ending.start()
        time.sleep(1)
        assert ending.is_alive()
        connection.sendall(body[20:])
        answer = connection.makefile("rb").read()
    ending.join(30)
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b"connection: close" in answer.partition(b"\r\n\r\n")[0].lower()
    assert codes == [0]


@pytest.mark.any_engine
@pytest.mark.rule("FL-6")
def test_readiness_says_no_while_requests_are_still_taken(make_process: MakeProcess) -> None:
    process = make_process(OSTIARY_SHUTDOWN_DELAY="10s")
    seen: list[Any] = []
    with process.client() as client:
        person = sign_up(client)
        assert client.get(f"{process.url}/readyz").status_code == 200
        ending = threading.Thread(target=lambda: seen.append(process.stop()))
        ending.start()
        wait_until(lambda: client.get(f"{process.url}/readyz").status_code == 503)
        assert client.get(f"{process.url}/readyz").json() == {"status": "unavailable"}
        for path in (f"{process.url}/livez", "/health"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers.get_list("connection")) == (200, ["close"])
        assert log_in(client, person).access_token
    ending.join(60)
    assert seen == [0]


@pytest.mark.any_engine
def test_told_twice_it_ends_at_once(make_process: MakeProcess) -> None:
    number = signal.SIGINT
    process = make_process(OSTIARY_SHUTDOWN_DELAY="60s")
    with process.client() as client:
        person = signed_in(client)
        os.kill(process.pid, number)
        wait_until(lambda: client.get(f"{process.url}/readyz").status_code == 503)
        assert process.end(number) == 128 + number
        process.start()
        client.base_url = f"{process.url}/api/v1"
        assert log_in(client, person).access_token, "nothing acknowledged is lost"


@pytest.mark.rule("LA-3")
def test_what_is_in_memory_is_written_before_the_end(make_process: MakeProcess) -> None:
    process = make_process()
    with process.client() as client:
        person = signed_in(client)
        assert client.get("/audit", headers=person.auth).status_code == 403
        assert client.get("/users/me", headers=person.auth).status_code == 200
        assert process.stop() == 0
    settings = settings_for_tests(process.data_dir, process.database_url)
    rows = audit_rows(settings)
    assert "access_refused" in [row.event for row in rows]
    assert None not in [row.place for row in rows]
