"""Bytes to a server and back, below any HTTP client."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple, Self

import pytest

from ostiary.edge.headers import API_POLICY
from tests.server import Server

PATIENCE_SECONDS = 20


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def read_from(cls, data: bytes) -> tuple[Self, bytes]:
        """The first answer in these bytes, which has a Content-Length, and what follows it."""
        head, end, rest = data.partition(b"\r\n\r\n")
        assert end, data
        line, *lines = head.decode("ascii").split("\r\n")
        headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
        length = int(headers.get("content-length", "0"))
        return cls(int(line.split()[1]), headers, rest[:length]), rest[length:]


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS)) as connection:
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def answers_in(data: bytes) -> list[Answer]:
    found = []
    while data:
        answer, data = Answer.read_from(data)
        found.append(answer)
    return found


def send(server: Server, *pieces: bytes) -> list[Answer]:
    """Send these pieces, and answer all answers until the server closes."""
    with connected(server) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return answers_in(until_closed(connection))


def assert_refusal(answer: Answer, status: int, code: str | None) -> None:
    """It is an error like any other, and the last thing on its connection."""
    assert answer.status == status, answer
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-security-policy"] == API_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    content = json.loads(answer.body)
    assert isinstance(content.pop("detail"), str)
    assert content == ({} if code is None else {"code": code})


def ended(connection: socket.socket) -> bytes:
    """What arrives until the server closes or resets the connection."""
    try:
        return until_closed(connection)
    except ConnectionError:
        return b""
    except TimeoutError:
        pytest.fail("the server did not end the connection")
