"""Health and the two probes: what they answer, and how little they ask of the database."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from ostiary.context import App
from ostiary.db import Unreachable
from tests.conftest import MakeServer
from tests.people import signed_in
from tests.server import Server
from tests.sessions.beside import rows

HEALTHY = b'{"status":"healthy","database":"healthy"}'
UNHEALTHY = b'{"status":"unhealthy","database":"unhealthy"}'
OK = b'{"status":"ok"}'
UNAVAILABLE = b'{"status":"unavailable"}'


class Asked:
    """Stands before a database: counts what the health check asks of it, and can hold the answer back or fail."""

    def __init__(self, app: App) -> None:
        self.times = 0
        self.answers = threading.Event()
        self.answers.set()
        self.is_away = False
        self._read: Callable[..., Awaitable[Any]] = app.db.read
        app.database_check._db = self  # type: ignore[assignment]

    async def read(self, *args: Any, **kwargs: Any) -> Any:
        self.times += 1
        await asyncio.to_thread(self.answers.wait)
        if self.is_away:
            raise Unreachable(reason="planted")
        return await self._read(*args, **kwargs)


@pytest.fixture
def asked_of(make_server: MakeServer) -> Iterator[tuple[Asked, Server, httpx.Client]]:
    planted: list[Asked] = []
    server = make_server(change=lambda app: planted.append(Asked(app)))
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as root:
        yield planted[0], server, root
    planted[0].answers.set()


def probed(root: httpx.Client) -> list[tuple[int, bytes]]:
    answers = [root.get(path) for path in ("/api/v1/health", "/readyz", "/livez")]
    return [(answer.status_code, answer.content) for answer in answers]


@pytest.mark.rule("FL-6")
def test_all_is_well(server: Server) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as root:
        assert probed(root) == [(200, HEALTHY), (200, OK), (200, OK)]
        for path in ("/api/v1/health", "/readyz", "/livez"):
            head, got = root.head(path), root.get(path)
            assert head.status_code == 200
            assert not head.content
            assert head.headers["Content-Length"] == str(len(got.content))
            assert head.headers["Content-Type"] == got.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "asking",
    [
        {"params": {"verbose": "1", "x": "\0"}},
        {"headers": {"Content-Type": "text/plain"}, "content": "x"},
        {"headers": {"Accept": "text/html"}},
    ],
    ids=["query", "body", "accept"],
)
def test_nothing_that_is_said_to_it_matters(client: httpx.Client, asking: dict[str, Any]) -> None:
    answer = client.request("GET", "/health", **asking)
    assert (answer.status_code, answer.content) == (200, HEALTHY)


def test_the_database_is_asked_once_a_second_however_many_ask(
    asked_of: tuple[Asked, Server, httpx.Client],
) -> None:
    asked, server, root = asked_of
    paths = ["/api/v1/health", "/readyz"] * 20
    for second in range(1, 4):
        with ThreadPoolExecutor(8) as pool:
            assert {answer.status_code for answer in pool.map(root.get, paths)} == {200}
        assert asked.times == second
        server.clock.advance(seconds=0.9)
        assert root.get("/api/v1/health").status_code == 200
        assert asked.times == second
        server.clock.advance(seconds=0.1)
    root.get("/livez")
    assert asked.times == 3


@pytest.mark.rule("FL-6")
def test_liveness_does_not_depend_on_the_database(asked_of: tuple[Asked, Server, httpx.Client]) -> None:
    asked, server, root = asked_of
    asked.is_away = True
    assert probed(root) == [(503, UNHEALTHY), (503, UNAVAILABLE), (200, OK)]
    head = root.head("/api/v1/health")
    assert (head.status_code, head.content) == (503, b"")
    asked.is_away = False
    server.clock.advance(seconds=1)
    assert probed(root) == [(200, HEALTHY), (200, OK), (200, OK)]


@pytest.mark.rule("FL-2")
def test_a_database_that_hangs_keeps_nobody_waiting_and_is_not_asked_again_meanwhile(
    asked_of: tuple[Asked, Server, httpx.Client],
) -> None:
    asked, server, root = asked_of
    asked.answers.clear()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(root.get, ["/api/v1/health"] * 16))
    assert {(answer.status_code, answer.content) for answer in answers} == {(503, UNHEALTHY)}
    assert max(answer.elapsed.total_seconds() for answer in answers) < 7.5, "1.5 s, on a slow machine"
    for _ in range(5):
        server.clock.advance(seconds=2)
        assert probed(root) == [(503, UNHEALTHY), (503, UNAVAILABLE), (200, OK)]
    assert asked.times == 1
    asked.answers.set()
    server.clock.advance(seconds=2)
    deadline = 500
    while probed(root) != [(200, HEALTHY), (200, OK), (200, OK)]:
        server.clock.advance(seconds=2)
        deadline -= 1
        assert deadline, "it did not recover"


@pytest.mark.rule("FL-2")
def test_a_database_of_another_schema_is_healthy_and_not_ready(make_server: MakeServer) -> None:
    server = make_server()
    rows(server.settings, "UPDATE alembic_version SET version_num = '0003'")
    with httpx.Client(base_url=server.url, trust_env=False) as root:
        assert probed(root) == [(200, HEALTHY), (503, UNAVAILABLE), (200, OK)]


def test_probes_give_nothing_away(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as api:
        person = signed_in(api)
        for path in ("/health", "/../../livez", "/../../readyz"):
            url = f"{server.url}{path.removeprefix('/../..')}" if path.startswith("/..") else path
            assert api.get(url).content == api.get(url, headers=person.auth).content
