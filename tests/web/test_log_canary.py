"""Nothing secret ever reaches the log, the database or an answer, and nobody writes what he likes into the log."""

import json
import logging
import re
import secrets
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from ostiary.logs import configure_logging
from ostiary.users.models import User
from tests.conftest import settings_for_tests
from tests.people import Person, bearer, log_in, newcomer
from tests.server import Process
from tests.web.canaries import Canaries, live
from tests.web.conftest import MakeEdge

FORMATS = ["json", "console"]
EXPECTED = [
    "user_signed_up",
    "login_succeeded",
    "login_failed",
    "refresh_token_replayed",
    "first_superuser_created",
    "logged_out",
    "api_key_created",
    "api_key_revoked",
    "request",
]

FORGED_LINE = '{"timestamp": "2030-01-01T00:00:00Z", "level": "info", "event": "forged"}'
INJECTED = [
    f"a\n{FORGED_LINE}",
    f"a\r\n{FORGED_LINE}",
    "\x1b[2J\x1b[31mred",
    "\x07\x08\x7f\x9b",
    "\u202egnp.exe",
    "\u2028x\u2066",
]
DANGEROUS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def inject(api: httpx.Client) -> None:
    """Try to write lines of one's own into the log, and to draw on the operator's terminal."""
    for text in INJECTED:
        quoted = "".join(f"%{byte:02x}" for byte in text.encode())
        assert api.get(f"/{quoted}").status_code == 404
        assert api.get("/nowhere", params={"x": text}).status_code == 404
        assert api.post("/auth/login", json={"email": text, "password": text}).status_code == 401
        assert api.post("/users", json=newcomer(email=text)).status_code == 400
        assert api.post("/users", json=newcomer(username=text)).status_code == 400
        raw = text.replace("\r", "").replace("\n", "").replace("\x00", "").encode()
        for name in ("User-Agent", "X-Request-ID", "X-Forwarded-For", "Authorization"):
            say_raw(api, name.encode() + b": " + raw)


def say_raw(api: httpx.Client, header: bytes) -> None:
    with socket.create_connection(("127.0.0.1", api.base_url.port or 0), timeout=10) as connection:
        connection.sendall(b"GET /api/v1/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + b"\r\n\r\n")
        assert re.match(rb"HTTP/1.1 (401|400) ", b"".join(iter(lambda: connection.recv(4096), b"")))


def stored_bytes(directory: Path) -> bytes:
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert any(path.name == "ostiary.db" for path in files)
    return b"".join(path.read_bytes() for path in files)


def lines_of(log: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines()]


@pytest.fixture(params=FORMATS)
def log_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.rule("LA-1", "LA-2", "IN-2")
def test_a_server_keeps_every_secret_to_itself(tmp_path: Path, log_format: str) -> None:
    canaries, secret_key = Canaries(), secrets.token_hex(32)
    canaries.found.add(secret_key)
    metrics_token = canaries.token(secrets.token_hex(32))
    options = {"SECRET_KEY": secret_key, "LOG_LEVEL": "debug", "LOG_FORMAT": log_format, "RATE_LIMIT": "off"}
    options |= {"TRUSTED_PROXIES": "127.0.0.1", "METRICS_TOKEN": metrics_token}
    environment = {f"OSTIARY_{name}": value for name, value in options.items()}
    with Process(tmp_path / "data", environment=environment) as process, process.client() as api:
        api.headers["X-Forwarded-For"] = "203.0.113.77"
        greeting = wait_for_setup_token(process)
        setup_token = canaries.token(greeting)
        for answer in live(api, canaries, setup_token):
            assert answer.status_code >= 400, answer.request.url
            assert not canaries.are_in(answer.content), answer.request.url
            assert not canaries.are_in(repr(answer.headers.raw).encode())
        inject(api)
        metrics = httpx.get(f"{process.url}/metrics", headers=bearer(metrics_token), trust_env=False)
        assert metrics.status_code == 200
        assert not canaries.are_in(metrics.content)
        assert not re.search(r"example\.com|user-|203\.0\.113|[^\x00-\x7f]", metrics.text), "it tells of no one"
        assert len(canaries.found) > 40
        assert not canaries.are_in(stored_bytes(tmp_path / "data"))
        process.stop()
        log = process.log.read_text()
        assert not canaries.are_in(log.encode())
        assert not canaries.are_in(stored_bytes(tmp_path / "data"))
    for event in EXPECTED:
        assert event in log, "the log has to tell of it"
    assert not DANGEROUS.search(log)
    assert not any(line.startswith('{"timestamp": "2030') for line in log.splitlines())
    assert "203.0.113.77" in log
    if log_format == "json":
        judge_lines(lines_of(log))


def wait_for_setup_token(process: Process) -> str:
    for _ in range(500):
        found = re.search(r'"token": "([^"]+)"', process.printed)
        if found:
            return found[1]
        time.sleep(0.02)
    raise AssertionError(process.printed)


def judge_lines(lines: list[dict[str, Any]]) -> None:
    """Every line says when, how grave and what; a line of a request says which; a login says who, whence and how."""
    for line in lines:
        assert list(line)[:3] == ["timestamp", "level", "event"]
        assert line["level"] in {"debug", "info", "warning"}
        moment = datetime.fromisoformat(line["timestamp"])
        assert line["timestamp"].endswith("Z")
        assert abs((datetime.now(UTC) - moment).total_seconds()) < 600
    requests = [line for line in lines if line["event"] == "request"]
    ids = {line["request_id"] for line in requests}
    assert len(ids) == len(requests) > 40
    assert all({"method", "path", "status", "ms", "source"} <= line.keys() for line in requests)
    of_requests = [line for line in lines if line["event"] in EXPECTED]
    assert all(line["request_id"] in ids for line in of_requests)
    expected: dict[str, dict[str, Any]] = {
        "login_succeeded": {"source": "203.0.113.77", "amr": "pwd"},
        "login_failed": {"source": "203.0.113.77"},
        "refresh_token_replayed": {"source": "203.0.113.77"},
    }
    for event, members in expected.items():
        told = [line for line in lines if line["event"] == event]
        assert told
        assert all(members.items() <= line.items() for line in told)
    assert all("user_id" in line and "session_id" in line for line in lines if line["event"] == "login_succeeded")
    assert all(line["reason"] for line in lines if line["event"] == "login_failed")


@pytest.fixture
def captured(tmp_path: Path, log_format: str) -> Iterator[StringIO]:
    """The log of this process, in one of its formats; afterwards everything as it was."""
    stream, before = StringIO(), structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    settings = settings_for_tests(tmp_path / "unused", None, log_format=log_format, log_level="debug")
    configure_logging(settings, stream)
    structlog.configure(cache_logger_on_first_use=False)
    yield stream
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.rule("LA-1", "LA-2", "FL-6")
def test_an_error_of_ours_is_logged_with_its_request_and_nothing_secret(
    make_edge: MakeEdge, captured: StringIO, log_format: str
) -> None:
    server, canaries = make_edge(access_log="on", trusted_proxies="127.0.0.1"), Canaries()
    with server.client() as api:
        person = log_in(api, Person(api.post("/users", json=(body := newcomer())).json(), body["password"]))
        canaries.found |= {canaries.token(person.access_token), canaries.token(person.refresh_token), person.password}

        async def fail(_: object) -> list[User]:
            raise ValueError(INJECTED[2] + INJECTED[4])

        server.app.user_reads._run = fail
        headers = person.auth | {"X-Request-ID": "given-by-the-proxy"}
        answer = api.get(f"/users/{person.id}?password={canaries.password()}", headers=headers)
        assert answer.status_code == 500
        assert answer.content == b'{"detail":"Internal server error"}'
        assert answer.headers["X-Request-ID"] == "given-by-the-proxy"
        assert api.get("/health").status_code == 200
    log = captured.getvalue()
    assert not canaries.are_in(log.encode())
    assert not DANGEROUS.search(log)
    assert log.count("unhandled_error") == 1
    if log_format == "json":
        [line] = [line for line in lines_of(log) if line["event"] == "unhandled_error"]
        assert line["level"] == "error"
        assert line["request_id"] == "given-by-the-proxy"
        assert "ValueError" in line["exception"]
