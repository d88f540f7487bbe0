"""A server that is alone with its PostgreSQL counts in memory, and hands over exactly when another comes."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from ostiary.counters import hot
from ostiary.db.hot import Statement
from tests.cli.command import Installation
from tests.conftest import settings_for_tests
from tests.counters.conftest import PER_ADDRESS
from tests.counters.hammering import be_patient, hammer, new_address, remaining, served
from tests.parts.postgres import Postgres, available
from tests.server import Server
from tests.sessions.answers import at_once
from tests.sessions.beside import rows
from tests.sessions.waiting import wait_until

StartNode = Callable[[], Server]
BEAT_MAY_BE_OLD = "800 milliseconds"


@pytest.fixture
def start_node(
    postgres_servers: Callable[[str], Postgres],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[StartNode]:
    """Starts servers on one database, patient ones, since none of this is about a store that is away."""
    be_patient(monkeypatch)
    url = postgres_servers(list(available())[-1]).create_database()
    options = {
        "secret_key": secrets.token_hex(32),
        "rate_limit": "on",
        "rate_limit_per_address": f"{PER_ADDRESS}/hour",
        "rate_limit_store": "auto",
        "trusted_proxies": "127.0.0.1",
    }
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Server(settings_for_tests(tmp_path_factory.mktemp("node"), url, **options)))


@pytest.fixture
def patient_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody be taken for gone because this machine stood still for half a second."""
    for name in ("JOIN", "CLAIM", "FORGET_DEAD_NODES"):
        assert BEAT_MAY_BE_OLD in getattr(hot, name).text
        statement = Statement(getattr(hot, name).text.replace(BEAT_MAY_BE_OLD, "1 minute"))
        monkeypatch.setattr(f"ostiary.counters.postgres.{name}", statement)
    monkeypatch.setattr("ostiary.counters.postgres.BEAT", hot.BEAT.replace(BEAT_MAY_BE_OLD, "1 minute"))


def is_alone(server: Server) -> bool:
    return not server.app.counters.is_shared and server.app.counters.is_store_up


def stored(server: Server) -> int:
    [(number,)] = rows(server.settings, "SELECT count(*) FROM request_counts")
    return int(number)


def stop_beating(server: Server) -> None:
    """Let a server be paused for all the others can tell: by what it does beside requests."""
    for task in server.app.counters._tasks:
        task.get_loop().call_soon_threadsafe(task.cancel)
    wait_until(lambda: all(task.done() for task in server.app.counters._tasks))


@pytest.mark.usefixtures("patient_neighbours")
def test_a_lone_server_counts_in_memory_until_another_comes(start_node: StartNode) -> None:
    first, address = start_node(), new_address()
    assert served(hammer([first], 15, address)) == 15
    assert is_alone(first)
    assert stored(first) == 0
    second = start_node()
    assert not is_alone(first)
    assert not is_alone(second)
    [answer] = hammer([second], 1, address)
    assert remaining([answer], "address") == [PER_ADDRESS - 16], "what was counted in memory counts"
    assert served(hammer([first, second], 60, address)) == PER_ADDRESS - 16
    assert [server.app.counters.fallbacks for server in (first, second)] == [0, 0]


def test_a_command_beside_a_server_leaves_it_alone(start_node: StartNode) -> None:
    server = start_node()
    settings = server.settings
    assert settings.secret_key is not None
    secret = {"OSTIARY_SECRET_KEY": settings.secret_key.get_secret_value()}
    command = Installation(settings.data_dir, settings.database_url, environment=secret)
    assert command.run("keys", "rotate").code == 0
    assert is_alone(server)
    assert rows(settings, "SELECT count(*) FROM counting_nodes") == [(1,)]


@pytest.mark.usefixtures("patient_neighbours")
@pytest.mark.rule("RL-1")
def test_nothing_is_lost_in_a_hand_over_while_requests_come(start_node: StartNode) -> None:
    first, addresses = start_node(), [new_address() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(hammer, [first], 150, address) for address in addresses]
        second = start_node()
        numbers = [served(call.result()) for call in calls]
    for number, address in zip(numbers, addresses, strict=True):
        assert number == PER_ADDRESS
        assert served(hammer([first, second], 6, address)) == 0


@pytest.mark.usefixtures("patient_neighbours")
@pytest.mark.rule("RL-1")
def test_of_servers_that_start_at_once_none_is_alone(start_node: StartNode) -> None:
    start_node()  # makes the schema
    servers = at_once([start_node] * 3)
    assert not any(map(is_alone, servers))
    assert served(hammer(servers, 3 * PER_ADDRESS, new_address())) == PER_ADDRESS


@pytest.mark.rule("RL-1")
def test_a_server_that_was_taken_for_gone_adds_what_it_has_served(start_node: StartNode) -> None:
    first, address = start_node(), new_address()
    assert served(hammer([first], 15, address)) == 15
    stop_beating(first)
    second = start_node()
    assert is_alone(second), "the first has not been heard of for a second"
    assert served(hammer([second], 10, address)) == 10
    first.clock.advance(seconds=2)
    [answer] = hammer([first], 1, address)
    wait_until(lambda: not is_alone(second))
    assert served(hammer([first, second], 60, address)) + served([answer]) == PER_ADDRESS - 25


@pytest.mark.rule("RL-1", "ST-2")
def test_a_crash_of_the_database_takes_nothing_that_a_lone_server_counted(start_node: StartNode) -> None:
    """Which empties its unlogged tables: the server comes again, and cannot know that it was alone all the while."""
    first, address = start_node(), new_address()
    assert served(hammer([first], 15, address)) == 15
    rows(first.settings, "TRUNCATE counting_nodes, request_counts")
    wait_until(lambda: stored(first) == 1)
    assert not is_alone(first)
    assert served(hammer([first], 60, address)) == PER_ADDRESS - 15


@pytest.mark.usefixtures("patient_neighbours")
def test_a_server_is_alone_again_when_what_the_others_counted_is_over(start_node: StartNode) -> None:
    first, second = start_node(), start_node()
    assert not is_alone(first)
    second.__exit__()
    first.clock.advance(minutes=59)
    hammer([first], 1, new_address())
    assert not is_alone(first), "in the last hour the other may have served somebody"
    first.clock.advance(minutes=3)
    wait_until(lambda: is_alone(first))
    assert served(hammer([first], 60, new_address())) == PER_ADDRESS
