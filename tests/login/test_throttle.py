"""Guessing is bounded: ten failures in a quarter of an hour, for each account and source (LG-3, first stage)."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import MakeServer, NewDatabase, settings_for_tests
from tests.login.inside import throttle_rows
from tests.people import Person, log_in, sign_up
from tests.server import Server
from tests.sessions.beside import restarted
from tests.sessions.waiting import wait_until

WRONG = "wrong-horse-Battery-9"
HOME, AWAY = "192.0.2.1", "198.51.100.2"
FAILURES = 10
QUARTER = 15 * 60


@pytest.fixture(scope="module")
def guarded(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind a proxy, without request limits. Tests move its clock, but use people of their own."""
    settings = settings_for_tests(tmp_path_factory.mktemp("data"), new_database(), trusted_proxies="127.0.0.1")
    with Server(settings) as running:
        yield running


@pytest.fixture
def client(guarded: Server) -> Iterator[httpx.Client]:
    with guarded.client() as client:
        yield client


def attempt(client: httpx.Client, email: str, password: str = WRONG, source: str = HOME) -> int:
    """Try to log in from somewhere; answer the status."""
    body = {"email": email, "password": password}
    return client.post("/auth/login", json=body, headers={"X-Forwarded-For": source}).status_code


def fail(client: httpx.Client, email: str, times: int, source: str = HOME) -> None:
    assert [attempt(client, email, WRONG, source) for _ in range(times)] == [401] * times


def is_open(client: httpx.Client, person: Person, source: str = HOME) -> bool:
    """Say whether the right password works; it clears the counter where it does."""
    return attempt(client, person.email, person.password, source) == 200


@pytest.mark.rule("LG-3")
def test_nine_failures_do_not_block_and_ten_do(guarded: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    fail(client, person.email, FAILURES - 1)
    assert is_open(client, person)
    fail(client, person.email, FAILURES)
    assert not is_open(client, person)
    guarded.clock.advance(seconds=QUARTER - 0.001)
    assert not is_open(client, person)
    guarded.clock.advance(seconds=0.001)
    assert is_open(client, person)


@pytest.mark.rule("LG-3")
def test_what_is_tried_during_a_block_neither_prolongs_it_nor_counts_afterwards(
    guarded: Server, client: httpx.Client
) -> None:
    person = sign_up(client)
    fail(client, person.email, FAILURES)
    guarded.clock.advance(seconds=QUARTER - 1)
    fail(client, person.email, 5)
    assert not is_open(client, person)
    guarded.clock.advance(seconds=1)
    fail(client, person.email, FAILURES - 1)
    assert is_open(client, person)


@pytest.mark.rule("LG-3")
@pytest.mark.parametrize(("seconds", "blocks"), [(QUARTER - 0.001, True), (QUARTER, False)])
def test_ten_failures_block_only_within_a_quarter_of_an_hour(
    guarded: Server, client: httpx.Client, seconds: float, *, blocks: bool
) -> None:
    person = sign_up(client)
    fail(client, person.email, 1)
    guarded.clock.advance(seconds=seconds)
    fail(client, person.email, FAILURES - 1)
    assert is_open(client, person) is not blocks


@pytest.mark.rule("LG-3")
def test_the_window_slides(guarded: Server, client: httpx.Client) -> None:
    """A failure every 100 seconds puts nine in any 15 minutes, every 99 seconds ten."""
    slow, quick = sign_up(client), sign_up(client)
    for _ in range(2 * FAILURES):
        fail(client, slow.email, 1)
        guarded.clock.advance(seconds=100)
    assert is_open(client, slow)
    for _ in range(FAILURES - 1):
        fail(client, quick.email, 1)
        guarded.clock.advance(seconds=99)
    fail(client, quick.email, 1)
    assert not is_open(client, quick)


@pytest.mark.rule("LG-3")
def test_another_source_is_not_blocked_and_another_account_is_not_either(client: httpx.Client) -> None:
    person, other = sign_up(client), sign_up(client)
    fail(client, person.email, FAILURES)
    assert is_open(client, person, AWAY)
    assert is_open(client, other, HOME)
    assert not is_open(client, person, HOME), "a success elsewhere clears nothing here"


@pytest.mark.rule("LG-3", "RL-2")
def test_one_ipv6_network_is_one_source(client: httpx.Client) -> None:
    person = sign_up(client)
    for number in range(FAILURES):
        fail(client, person.email, 1, f"2001:db8:1:2::{number}")
    assert not is_open(client, person, "2001:db8:1:2:ffff::1")
    assert is_open(client, person, "2001:db8:1:3::1")


@pytest.mark.rule("LG-3", "RL-2")
def test_what_a_caller_writes_left_of_the_proxy_changes_no_source(client: httpx.Client) -> None:
    person = sign_up(client)
    for number in range(FAILURES):
        fail(client, person.email, 1, f"203.0.113.{number}, {HOME}")
    assert not is_open(client, person, f"203.0.113.77, {HOME}")


@pytest.mark.rule("LG-3", "SU-1")
def test_all_spellings_of_an_address_share_the_counter(client: httpx.Client) -> None:
    tag = sign_up(client).user["username"]
    person = sign_up(client, email=f"{tag}.zoe@bücher.example")
    domains = ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "\uff42\uff55\u0308cher.example"]
    for number in range(FAILURES):
        fail(client, f"{tag}.{'zoe' if number % 2 else 'ZOE'}@{domains[number % 4]}", 1)
    assert not is_open(client, person)


@pytest.mark.rule("LG-3")
def test_addresses_that_nobody_has_are_throttled_alike(guarded: Server, client: httpx.Client) -> None:
    """Who signs up later with such an address begins without a past; nobody can see that it was throttled."""
    tag = sign_up(client).user["username"]
    fail(client, f"{tag}@new.example", FAILURES + 2)
    row = next(row for row in throttle_rows(guarded.settings) if row.refused == 2)
    assert len(row.attempts.split(",")) == FAILURES
    assert tag not in row.subject
    person = sign_up(client, email=f"{tag}@new.example")
    assert is_open(client, person)


@pytest.mark.rule("LG-3")
def test_strings_that_are_no_address_are_throttled_alike(guarded: Server, client: httpx.Client) -> None:
    before = len(throttle_rows(guarded.settings))
    for _ in range(FAILURES + 2):
        answer = client.post(
            "/auth/login",
            content=b'{"email":"half a pair \\ud800","password":"x"}',
            headers={"Content-Type": "application/json", "X-Forwarded-For": HOME},
        )
        assert answer.status_code == 401
    rows = throttle_rows(guarded.settings)
    assert len(rows) == before + 1
    assert max(row.refused for row in rows) >= 2


@pytest.mark.rule("LG-3")
def test_a_success_clears_its_own_pair_and_no_other(client: httpx.Client) -> None:
    person, other = sign_up(client), sign_up(client)
    fail(client, person.email, FAILURES - 1, HOME)
    fail(client, person.email, FAILURES - 1, AWAY)
    fail(client, other.email, FAILURES - 1, HOME)
    assert is_open(client, person, HOME)
    fail(client, person.email, FAILURES - 1, HOME)
    assert is_open(client, person, HOME)
    fail(client, person.email, 1, AWAY)
    fail(client, other.email, 1, HOME)
    assert not is_open(client, person, AWAY)
    assert not is_open(client, other, HOME)


@pytest.mark.rule("LG-3")
def test_an_account_of_one_s_own_does_not_clear_the_counter_of_another(client: httpx.Client) -> None:
    """Guess nine times, log in as oneself, guess nine times: that would be no throttle at all."""
    victim, attacker = sign_up(client), sign_up(client)
    fail(client, victim.email, FAILURES - 1)
    log_in(client, attacker)
    assert is_open(client, attacker)
    fail(client, victim.email, 1)
    assert not is_open(client, victim)


@pytest.mark.rule("LG-3", "ST-2")
def test_counters_survive_a_restart(make_server: MakeServer) -> None:
    server = make_server(rate_limit="off", login_failure_floor="0s")
    with server.client() as client:
        person, other = sign_up(client), sign_up(client)
        fail(client, person.email, FAILURES)
        fail(client, other.email, FAILURES - 1)
    again = restarted(make_server, server)
    with again.client() as client:
        assert not is_open(client, person)
        fail(client, other.email, 1)
        assert not is_open(client, other)
        again.clock.advance(seconds=QUARTER)
        assert is_open(client, person)


@pytest.mark.rule("LG-3")
def test_rows_that_block_nobody_any_more_are_cleared_away(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        old, person = sign_up(client), sign_up(client)
        fail(client, old.email, FAILURES)
        server.clock.advance(minutes=50)
        fail(client, person.email, FAILURES)
        server.clock.advance(minutes=11)
        wait_until(lambda: [row.subject for row in throttle_rows(server.settings)] == [f"user:{person.id}"])
        assert not is_open(client, person)
        assert is_open(client, old)
