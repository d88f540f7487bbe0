"""Clients that are slow, do not read, or are too many: each ends within a bound, and nobody else notices (IN-1)."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
import structlog.testing

from ostiary.edge import connections
from ostiary.edge.connections import Limits, connections_for
from ostiary.reference.routes import load_assets
from tests.edge.raw import Answer, answers_in, assert_refusal, connected, ended, until_closed
from tests.server import Process, Server
from tests.web.conftest import MakeEdge

GET = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n"
HASTY = Limits(
    header_seconds=0.4,
    body_seconds=0.4,
    reader_seconds=0.4,
    leaving_seconds=0.2,
    every_seconds=0.1,
    parting_seconds=0.05,
)
SLACK = 5
BOUND_SECONDS = SLACK * (HASTY.header_seconds + 2 * HASTY.every_seconds)


@pytest.fixture
def hasty(make_edge: MakeEdge) -> Server:
    """A server that waits for nobody."""
    return make_edge(limits=HASTY, api_docs="on")


def drip(connection: socket.socket, data: bytes, *, every_seconds: float) -> bytes:
    """Send byte by byte until the server has something to say, and answer all that it says until it closes."""
    connection.settimeout(every_seconds)
    for number in range(len(data)):
        try:
            connection.sendall(data[number : number + 1])
            received = connection.recv(65536)
        except TimeoutError:
            continue
        connection.settimeout(10)
        return received + ended(connection)
    pytest.fail("the server read it to its end")


@pytest.mark.rule("IN-1", "FL-5")
@pytest.mark.parametrize("first", [b"", GET], ids=["a new connection", "a used one"])
def test_headers_that_take_too_long_are_refused(hasty: Server, first: bytes) -> None:
    hasty.clock.advance(seconds=-3600)  # what the wall clock says is nothing to it
    with connected(hasty) as connection:
        if first:
            connection.sendall(first)
            assert Answer.read_from(connection.recv(65536))[0].status == 200
        began_at = time.monotonic()
        data = drip(connection, GET[:-4] + b"\r\nX: " + b"a" * 1000, every_seconds=0.05)
        assert time.monotonic() - began_at < BOUND_SECONDS
    [answer] = answers_in(data)
    assert_refusal(answer, 408, None)
    assert b"headers" in answer.body


@pytest.mark.rule("IN-1")
@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n"], ids=["nothing", "line ends"])
def test_who_asks_nothing_is_not_answered(hasty: Server, sent: bytes) -> None:
    with connected(hasty) as connection:
        connection.sendall(sent)
        began_at = time.monotonic()
        assert ended(connection) == b""
        assert time.monotonic() - began_at < BOUND_SECONDS


@pytest.mark.rule("IN-1")
def test_a_body_that_takes_too_long_is_refused_to_its_reader(hasty: Server) -> None:
    with connected(hasty) as connection:
        connection.sendall(POST)
        [answer] = answers_in(drip(connection, b"{" + b" " * 1000, every_seconds=0.05))
    assert_refusal(answer, 408, None)
    assert b"body" in answer.body


@pytest.mark.rule("IN-1")
def test_a_body_that_nobody_reads_does_not_keep_a_connection(hasty: Server) -> None:
    with connected(hasty) as connection:
        connection.sendall(POST.replace(b"POST", b"PUT"))
        assert Answer.read_from(connection.recv(65536))[0].status == 405
        assert drip_in_vain(connection) == b""
    with connected(hasty) as connection:
        connection.sendall(POST.replace(b"POST", b"PUT").replace(b": 50", b": 50000000"))
        assert Answer.read_from(connection.recv(65536))[0].status == 405
        with pytest.raises(ConnectionError):
            connection.sendall(b" " * 50_000_000)


def drip_in_vain(connection: socket.socket) -> bytes:
    try:
        return drip(connection, b" " * 1000, every_seconds=0.05)
    except ConnectionError:
        return b""


def test_a_connection_in_use_is_never_too_old(hasty: Server) -> None:
    with connected(hasty) as connection:
        for _ in range(25):
            connection.sendall(GET)
            assert Answer.read_from(connection.recv(65536))[0].status == 200
            time.sleep(0.05)
        time.sleep(3 * HASTY.header_seconds)  # idle between requests is not slow
        connection.sendall(GET)
        assert Answer.read_from(connection.recv(65536))[0].status == 200


def slow_reader(server: Server) -> socket.socket:
    """A connection whose client has room for a few kilobytes only."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect(("127.0.0.1", server.port))
    return connection


@pytest.mark.rule("IN-1")
def test_who_does_not_read_is_dropped_and_holds_little(hasty: Server) -> None:
    """Requests go on being sent until the server stops reading them; then nothing more is kept."""
    protocols: set[Any] = hasty._uvicorn.server_state.connections
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    with connected(hasty) as connection:
        connection.sendall(asked)  # which is written down when it is first asked for
        assert connection.recv(65536)
    with slow_reader(hasty) as connection, structlog.testing.capture_logs() as lines:
        began_at = time.monotonic()
        most_unsent = most_queued = 0
        connection.settimeout(0)
        while time.monotonic() < began_at + BOUND_SECONDS:
            try:
                connection.send(asked)
            except BlockingIOError:
                time.sleep(0.01)
            except ConnectionError:
                break
            for protocol in list(protocols):
                most_unsent = max(most_unsent, protocol.unsent)
                most_queued = max(most_queued, len(protocol.pipeline))
        else:
            pytest.fail("it was never dropped")
    assert 0 < most_unsent < 1_000_000
    assert most_queued <= 64
    [line] = [line for line in lines if line["event"] == "reader_dropped"]
    assert line["source"] == "127.0.0.1"
    assert hasty.app.metrics.connections.dropped == 1


@pytest.mark.rule("IN-1")
def test_who_reads_slowly_but_reads_is_served(make_edge: MakeEdge, monkeypatch: pytest.MonkeyPatch) -> None:
    server = make_edge(limits=replace(HASTY, reader_seconds=2.0), api_docs="on")
    monkeypatch.setattr(connections, "LEAST_READ_BYTES", 1024)
    asset = next(line for line in asset_paths() if line.endswith("bundle.js"))
    with slow_reader(server) as connection:
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % asset.encode())
        received, began_at = b"", time.monotonic()
        while time.monotonic() < began_at + 2 * 2.0:
            received += connection.recv(16384)
            time.sleep(0.02)
        received += until_closed(connection)
    [answer] = answers_in(received)
    assert len(answer.body) == int(answer.headers["content-length"]) > 1_000_000


def asset_paths() -> Iterator[str]:
    assets = load_assets()
    return (f"/{assets.directory}/{name}" for name in assets.files)


@pytest.mark.rule("IN-1", "LA-1")
def test_refusals_of_connections_are_in_the_log_like_any_other(make_edge: MakeEdge) -> None:
    server = make_edge(limits=HASTY, access_log="on")
    with structlog.testing.capture_logs() as lines:
        for sent, status in [
            (b"GET /api/v1/users?token=secret HTTP/1.1\r\nHost: x\r\nX: y", 408),
            (b"GET /api/v1/" + b"x" * 9000 + b" HTTP/1.1\r\n", 414),
            (GET[:-2] + b"X: " + b"a" * 50_000, 431),
            (b"nonsense\r\n\r\n", 400),
        ]:
            with connected(server) as connection:
                connection.sendall(sent)
                assert [answer.status for answer in answers_in(until_closed(connection))] == [status]
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["status"], line["method"], line["source"]) for line in requests] == [
        (408, "GET", "127.0.0.1"),
        (414, "GET", "127.0.0.1"),
        (431, "GET", "127.0.0.1"),
        (400, "", "127.0.0.1"),
    ]
    assert requests[0]["path"] == "/api/v1/users"
    assert len(requests[1]["path"]) < 300
    assert "secret" not in str(lines)


@pytest.mark.rule("RL-1")
def test_refusals_of_connections_count_against_their_source(make_edge: MakeEdge) -> None:
    server = make_edge(rate_limit="on", rate_limit_per_address="3/60s")
    statuses = []
    for _ in range(5):
        with connected(server) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            statuses += [answer.status for answer in answers_in(until_closed(connection))]
    assert statuses == [400, 400, 400, 429, 429]


class TestTooMany:
    def test_one_more_than_there_is_room_for_is_told_to_come_back(self, make_edge: MakeEdge) -> None:
        server = make_edge(limits=Limits(connections=10, refused_at_once=5, parting_seconds=0.05))
        with ExitStack() as stack:
            held = [stack.enter_context(connected(server)) for _ in range(10)]
            for connection in held:
                connection.sendall(GET)
                assert Answer.read_from(connection.recv(65536))[0].status == 200
            for _ in range(3):
                with connected(server) as connection:
                    connection.sendall(GET)
                    [answer] = answers_in(ended(connection))
                assert_refusal(answer, 503, None)
                assert answer.headers["retry-after"] == "1"
            held[0].sendall(GET)
            assert Answer.read_from(held[0].recv(65536))[0].status == 200
            figures = server.app.metrics.connections
            assert (len(figures.open), figures.most) >= (10, 10)
            held.pop().close()
            deadline = time.monotonic() + 5
            while True:
                with connected(server) as connection:
                    connection.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                    [answer] = answers_in(ended(connection))
                if answer.status == 200:
                    break
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def test_a_crowd_beyond_that_is_cut_off_and_the_server_goes_on(self, make_edge: MakeEdge) -> None:
        server = make_edge(limits=Limits(connections=10, refused_at_once=5, parting_seconds=0.05))
        with ExitStack() as stack:
            crowd = [stack.enter_context(connected(server)) for _ in range(60)]
            deadline = time.monotonic() + 5
            while len(server._uvicorn.server_state.connections) > 15:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            crowd[0].sendall(GET)
            assert Answer.read_from(crowd[0].recv(65536))[0].status == 200
        deadline = time.monotonic() + 5
        while server._uvicorn.server_state.connections:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with server.client() as client:
            assert client.get("/health").status_code == 200

    def test_idle_connections_make_room_when_places_are_scarce(
        self, make_edge: MakeEdge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections, "_IDLE_WHILE_SCARCE_SECONDS", 0.2)
        server = make_edge(limits=replace(HASTY, connections=10, header_seconds=10))
        with ExitStack() as stack:
            held = [stack.enter_context(connected(server)) for _ in range(10)]
            for connection in held:
                connection.sendall(GET)
                assert Answer.read_from(connection.recv(65536))[0].status == 200
            assert [ended(connection) for connection in held] == [b""] * 10

    @pytest.mark.parametrize(("files", "most"), [(256, 64), (1024, 768), (4096, 3072), (20_000, 10_000), (16, 1)])
    def test_files_are_left_for_everything_else(self, files: int, most: int) -> None:
        assert connections_for(files) == most


class TestTheEnd:
    def test_a_request_that_is_under_way_when_the_server_stops_is_answered(self, make_edge: MakeEdge) -> None:
        server = make_edge(limits=Limits(parting_seconds=10))
        with connected(server) as used, connected(server) as unused, connected(server) as silent:
            used.sendall(GET)
            assert Answer.read_from(used.recv(65536))[0].status == 200
            silent.sendall(GET[:20])
            time.sleep(0.1)
            server._uvicorn.should_exit = True
            time.sleep(0.4)
            for connection in (used, unused):
                connection.sendall(GET)
                [answer] = answers_in(until_closed(connection))
                assert (answer.status, answer.headers["connection"]) == (200, "close")
            [answer] = answers_in(until_closed(silent))
            assert_refusal(answer, 503, None)
            assert "retry-after" in answer.headers


@pytest.mark.rule("IN-1")
def test_the_limits_of_a_server_as_people_start_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Process(tmp_path_factory.mktemp("real") / "data") as process:
        port = int(process.url.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=60) as slow,
            socket.create_connection(("127.0.0.1", port), timeout=60) as silent,
        ):
            slow.sendall(GET[:30])
            began_at = time.monotonic()
            [answer] = answers_in(until_closed(slow))
            assert_refusal(answer, 408, None)
            assert ended(silent) == b""
            assert 9 < time.monotonic() - began_at < SLACK * 10
