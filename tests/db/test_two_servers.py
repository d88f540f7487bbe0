"""Several servers on one PostgreSQL: they start at the same moment, and each heeds at once what another did."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from ostiary.db.schema import HEAD
from ostiary.login.signup import offer_setup
from tests.conftest import settings_for_tests
from tests.people import bearer, log_in, newcomer, patiently, refresh, sign_up, signed_in
from tests.server import Process, Server
from tests.sessions.answers import assert_refused, at_once, tokens_in, works
from tests.sessions.beside import rows, write

pytestmark = pytest.mark.usefixtures("all_the_time")

SECRET = "f3b1c9e07a5d4862b9e4d17c60a8f25e"
PUBLIC_URL = "http://127.0.0.1:8000"

Several = Callable[..., list[Server]]


@pytest.fixture
def several(postgres_url: str, tmp_path: Path) -> Iterator[Several]:
    """Starts servers at the same moment on one empty database: `several(3, refresh_replay_window="0s")`."""
    with ExitStack() as stack:

        def start(number: int, **options: Any) -> list[Server]:
            options = {"secret_key": SECRET, "public_url": PUBLIC_URL} | options
            servers = [
                Server(settings_for_tests(tmp_path / f"{count}", postgres_url, **options)) for count in range(number)
            ]
            return at_once([partial(stack.enter_context, server) for server in servers])

        yield start


@pytest.fixture
def pair(several: Several) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Clients of two servers on one database, where a spent refresh token is refused at once."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(server.client()) for server in several(2, refresh_replay_window="0s"))
        yield first, second


def published(url: str) -> list[Any]:
    answer = httpx.get(f"{url}/.well-known/jwks.json", trust_env=False)
    assert answer.status_code == 200
    return list(answer.json()["keys"])


def assert_one_installation(database_url: str, urls: list[str], data_dir: Path) -> None:
    """One schema, one set of keys, and all servers publish it."""
    settings = settings_for_tests(data_dir, database_url)
    assert rows(settings, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert rows(settings, "SELECT count(*) FROM installation") == [(1,)]
    [(kid,)] = rows(settings, "SELECT kid FROM signing_keys")
    for url in urls:
        assert [key["kid"] for key in published(url)] == [kid]


@pytest.mark.rule("SK-4")
def test_servers_that_start_at_once_share_one_schema_and_one_key(
    several: Several, postgres_url: str, tmp_path: Path
) -> None:
    servers = several(5)
    assert_one_installation(postgres_url, [server.url for server in servers], tmp_path)
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for server in servers]
        person = signed_in(clients[0])
        for client in clients:
            assert works(client, person.access_token)


def test_commands_that_start_at_once_come_up(postgres_url: str, tmp_path: Path) -> None:
    environment = {
        "OSTIARY_DATABASE_URL": postgres_url,
        "OSTIARY_SECRET_KEY": SECRET,
        "OSTIARY_PUBLIC_URL": PUBLIC_URL,
    }
    processes = [Process(tmp_path / f"{number}" / "data", environment=environment) for number in range(2)]
    for process in processes:
        process.data_dir.parent.mkdir()
    with ExitStack() as stack:
        at_once([partial(stack.enter_context, process) for process in processes])
        assert_one_installation(postgres_url, [process.url for process in processes], tmp_path)
        first, second = (stack.enter_context(process.client()) for process in processes)
        assert works(second, signed_in(first).access_token)
        assert works(first, signed_in(second).access_token)
        assert [process.stop() for process in processes] == [0, 0]


@pytest.mark.rule("ST-2")
def test_user_and_session_of_one_server_are_the_others_at_once(pair: tuple[httpx.Client, httpx.Client]) -> None:
    first, second = pair
    for here, there in (pair, (second, first)):
        person = log_in(there, sign_up(here))
        assert works(here, person.access_token)
        access_token, refresh_token = tokens_in(refresh(here, person.refresh_token))
        assert works(there, access_token)
        assert refresh(there, refresh_token).status_code == 200


@pytest.mark.rule("ST-2", "TK-4")
def test_token_spent_on_one_server_is_spent_on_the_other(pair: tuple[httpx.Client, httpx.Client]) -> None:
    first, second = pair
    person = signed_in(first)
    access_token, refresh_token = tokens_in(refresh(first, person.refresh_token))
    assert_refused(refresh(second, person.refresh_token))
    assert_refused(refresh(first, refresh_token))
    assert not works(first, access_token)


@pytest.mark.rule("ST-2")
@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout-all"])
def test_logout_on_one_server_ends_the_session_on_the_other(pair: tuple[httpx.Client, httpx.Client], path: str) -> None:
    first, second = pair
    person = signed_in(first)
    assert works(second, person.access_token)
    answer = first.post(path, headers=bearer(person.access_token))
    assert answer.status_code == 204
    assert not works(second, person.access_token)
    assert_refused(refresh(second, person.refresh_token))


@pytest.mark.rule("ST-2", "TK-4")
def test_one_token_on_two_servers_at_once_has_one_successor(several: Several) -> None:
    servers = several(2)
    with servers[0].client() as first, servers[1].client() as second:
        person = signed_in(first)
        calls = [partial(refresh, client, person.refresh_token) for client in (first, second) for _ in range(10)]
        successors = {tokens_in(answer)[1] for answer in at_once(calls)}
        assert len(successors) == 1
        assert refresh(second, successors.pop()).status_code == 200


@pytest.mark.rule("D2", "AD-1")
def test_one_setup_token_on_two_servers_at_once_makes_one_superuser(several: Several) -> None:
    servers = several(2)
    token = write(servers[0].settings, offer_setup, now=servers[0].clock.now())
    with servers[0].client() as first, servers[1].client() as second:
        bodies = [newcomer(token=token) for _ in range(10)]
        calls = [
            partial(patiently, partial(client.post, "/setup", json=body))
            for client, body in zip((first, second) * 5, bodies, strict=True)
        ]
        assert sorted(answer.status_code for answer in at_once(calls)) == [201] + [400] * 9
    assert rows(servers[0].settings, "SELECT count(*) FROM users") == [(1,)]
