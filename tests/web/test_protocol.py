"""Answers that leave in one piece, on connections that are used in every way HTTP/1 allows (RFC 9112 §9)."""

import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.server import Server
from tests.web.conftest import MakeEdge

HEALTH = b"%s /api/v1/health HTTP/%s\r\nHost: x\r\n%s\r\n"


@pytest.fixture
def server(make_edge: MakeEdge) -> Server:
    return make_edge()


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as connection:
        yield connection


def receive(connection: socket.socket, count: int) -> list[tuple[bytes, bytes]]:
    """Receive that many answers with bodies, each as its head and its body; nothing may follow them."""
    data = b""
    answers: list[tuple[bytes, bytes]] = []
    while len(answers) < count:
        head, end, rest = data.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1]) if end else 0  # type: ignore[index]
        if end and len(rest) >= length:
            answers.append((head, rest[:length]))
            data = rest[length:]
        else:
            more = connection.recv(65536)
            assert more, "the server closed in the middle of an answer"
            data += more
    assert not data
    return answers


def rest_of(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_requests_sent_in_one_go_are_answered_in_their_order(server: Server) -> None:
    with connected(server) as connection:
        unknown = HEALTH.replace(b"health", b"nowhere")
        connection.sendall(b"".join(each % (b"GET", b"1.1", b"") for each in (HEALTH, unknown, HEALTH)))
        answers = receive(connection, 3)
        assert [head[9:12] for head, _ in answers] == [b"200", b"404", b"200"]
        assert answers[0][1] == answers[2][1]
        connection.sendall(HEALTH % (b"GET", b"1.1", b""))
        assert receive(connection, 1)[0][1] == answers[0][1]


@pytest.mark.parametrize(("version", "header"), [(b"1.0", b""), (b"1.1", b"Connection: close\r\n")])
def test_a_connection_that_is_to_end_ends(server: Server, version: bytes, header: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(HEALTH % (b"GET", version, header))
        head, _, body = rest_of(connection).partition(b"\r\n\r\n")
        assert b"\r\nconnection: close" in head
        assert int(re.search(rb"content-length: (\d+)", head)[1]) == len(body) > 0  # type: ignore[index]


def test_head_has_the_length_and_no_body(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(HEALTH % (b"GET", b"1.1", b""))
        [(_, body)] = receive(connection, 1)
        connection.sendall(HEALTH % (b"HEAD", b"1.1", b"Connection: close\r\n"))
        answer = rest_of(connection)
        assert answer.endswith(b"\r\n\r\n")
        assert b"content-length: %d\r\n" % len(body) in answer


def test_a_caller_who_is_gone_harms_nobody(server: Server) -> None:
    for _ in range(20):
        with connected(server) as connection:
            connection.sendall((HEALTH % (b"GET", b"1.1", b"")) * 5)
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # closing resets the connection
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    with server.client() as client:
        assert client.get("/health").status_code == 200
