"""What tests of users ask for in their own words, and what they look at past the API."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from ostiary.users.accounts import add_user
from ostiary.users.models import User
from tests.people import newcomer
from tests.server import Server
from tests.sessions.beside import rows, write

MEMBERS = ["id", "email", "username", "is_active", "is_superuser", "created_at", "updated_at"]
NOT_FOUND = {"detail": "Resource not found"}
BAD_CREDENTIALS = {"detail": "Invalid authentication credentials"}

_CHANGING_HEADERS = {"date", "x-request-id"}


def post_user(client: httpx.Client, body: object) -> httpx.Response:
    """Ask for an account with bytes as they are, or anything else as JSON in ASCII, half surrogate pairs too."""
    content = body if isinstance(body, bytes) else json.dumps(body)
    return client.post("/users", content=content, headers={"Content-Type": "application/json"})


def detail_of(answer: httpx.Response, status: int, *, code: str | None = None) -> str:
    """What a refusal says; it has this status, this code, and nothing that the contract does not have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == (["detail"] if code is None else ["detail", "code"]), answer.text
    assert body.get("code") == code
    detail = body["detail"]
    assert isinstance(detail, str)
    assert detail
    return detail


def fingerprint(answer: httpx.Response) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """All that a caller can see of an answer: status, body, and headers in their order, but for date and id."""
    headers = [(name, value) for name, value in answer.headers.raw if name.decode().lower() not in _CHANGING_HEADERS]
    return answer.status_code, answer.content, headers


def stored(server: Server) -> list[list[tuple[Any, ...]]]:
    """All users and passwords that the database holds, seen over a new connection."""
    return [rows(server.settings, f"SELECT * FROM {table} ORDER BY 1") for table in ("users", "passwords")]


@contextmanager
def nothing_stored(server: Server) -> Iterator[None]:
    """Nobody is added or changed meanwhile."""
    before = stored(server)
    yield
    assert stored(server) == before


def plant_user(server: Server, **members: Any) -> User:
    """Add somebody past the API, without a password: quicker than sign-up, and nobody can log in as him."""
    names = newcomer(**members)
    now = server.clock.now()
    return write(
        server.settings, add_user, email=names["email"], username=names["username"], is_superuser=False, now=now
    )
