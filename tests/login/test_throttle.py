"""Guessing is bounded: ten failures in a quarter of an hour, for each account and source (LG-3, first stage).

Everybody here comes from where nobody has signed in before.
"""

import json

import httpx
import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.users.accounts import delete_user
from tests.conftest import MakeServer
from tests.login.guessing import HOME, fail, is_open
from tests.login.inside import throttle_rows
from tests.people import log_in, sign_up
from tests.server import Server
from tests.sessions.beside import restarted, rows, write
from tests.sessions.waiting import has_done, wait_until

AWAY = "198.51.100.2"
FAILURES = 10
QUARTER = 15 * 60


@pytest.mark.rule("LG-3")
def test_nine_failures_do_not_block_and_ten_do(guarded: Server, outside: httpx.Client) -> None:
    other, person = sign_up(outside), sign_up(outside)
    fail(outside, other.email, FAILURES - 1)
    assert is_open(outside, other)
    fail(outside, person.email, FAILURES)
    assert not is_open(outside, person)
    guarded.clock.advance(seconds=QUARTER - 0.001)
    assert not is_open(outside, person)
    guarded.clock.advance(seconds=0.001)
    assert is_open(outside, person)


@pytest.mark.rule("LG-3")
def test_what_is_tried_during_a_block_neither_prolongs_it_nor_counts_afterwards(
    guarded: Server, outside: httpx.Client
) -> None:
    person = sign_up(outside)
    fail(outside, person.email, FAILURES)
    guarded.clock.advance(seconds=QUARTER - 1)
    fail(outside, person.email, 5)
    assert not is_open(outside, person)
    guarded.clock.advance(seconds=1)
    fail(outside, person.email, FAILURES - 1)
    assert is_open(outside, person)


@pytest.mark.rule("LG-3")
@pytest.mark.parametrize(("seconds", "blocks"), [(QUARTER - 0.001, True), (QUARTER, False)])
def test_ten_failures_block_only_within_a_quarter_of_an_hour(
    guarded: Server, outside: httpx.Client, seconds: float, *, blocks: bool
) -> None:
    person = sign_up(outside)
    fail(outside, person.email, 1)
    guarded.clock.advance(seconds=seconds)
    fail(outside, person.email, FAILURES - 1)
    assert is_open(outside, person) is not blocks


@pytest.mark.rule("LG-3")
def test_the_window_slides(guarded: Server, outside: httpx.Client) -> None:
    """A failure every 100 seconds puts nine in any 15 minutes, every 99 seconds ten."""
    slow, quick = sign_up(outside), sign_up(outside)
    for _ in range(2 * FAILURES):
        fail(outside, slow.email, 1)
        guarded.clock.advance(seconds=100)
    assert is_open(outside, slow)
    for _ in range(FAILURES - 1):
        fail(outside, quick.email, 1)
        guarded.clock.advance(seconds=99)
    fail(outside, quick.email, 1)
    assert not is_open(outside, quick)


@pytest.mark.rule("LG-3")
def test_another_source_is_not_blocked_and_another_account_is_not_either(outside: httpx.Client) -> None:
    person, other = sign_up(outside), sign_up(outside)
    fail(outside, person.email, FAILURES)
    assert is_open(outside, person, AWAY)
    assert is_open(outside, other, HOME)
    assert not is_open(outside, person, HOME), "a success elsewhere clears nothing here"


@pytest.mark.rule("LG-3", "RL-2")
def test_one_ipv6_network_is_one_source(outside: httpx.Client) -> None:
    person = sign_up(outside)
    for number in range(FAILURES):
        fail(outside, person.email, 1, f"2001:db8:1:2::{number}")
    assert not is_open(outside, person, "2001:db8:1:2:ffff::1")
    assert is_open(outside, person, "2001:db8:1:3::1")


@pytest.mark.rule("LG-3", "RL-2")
def test_what_a_caller_writes_left_of_the_proxy_changes_no_source(outside: httpx.Client) -> None:
    person = sign_up(outside)
    for number in range(FAILURES):
        fail(outside, person.email, 1, f"203.0.113.{number}, {HOME}")
    assert not is_open(outside, person, f"203.0.113.77, {HOME}")


@pytest.mark.rule("LG-3", "SU-1")
def test_all_spellings_of_an_address_share_the_counter(outside: httpx.Client) -> None:
    tag = sign_up(outside).user["username"]
    person = sign_up(outside, email=f"{tag}.zoe@bücher.example")
    domains = ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "\uff42\uff55\u0308cher.example"]
    for number in range(FAILURES):
        fail(outside, f"{tag}.{'zoe' if number % 2 else 'ZOE'}@{domains[number % 4]}", 1)
    assert not is_open(outside, person)


@pytest.mark.rule("LG-3")
def test_addresses_that_nobody_has_are_throttled_alike(guarded: Server, outside: httpx.Client) -> None:
    """Who signs up later with such an address begins without a past; nobody can see that it was throttled."""
    tag = sign_up(outside).user["username"]
    fail(outside, f"{tag}@new.example", FAILURES + 2)
    row = next(row for row in throttle_rows(guarded.settings) if row.refused == 2)
    assert [len(moments) for moments in json.loads(row.failures)["192.0.2.0/24"].values()] == [FAILURES]
    assert tag not in row.subject
    person = sign_up(outside, email=f"{tag}@new.example")
    assert is_open(outside, person)


@pytest.mark.rule("LG-3")
def test_strings_that_are_no_address_are_throttled_alike(guarded: Server, outside: httpx.Client) -> None:
    known = {row.subject for row in throttle_rows(guarded.settings)}
    for _ in range(FAILURES + 2):
        answer = outside.post(
            "/auth/login",
            content=b'{"email":"half a pair \\ud800","password":"x"}',
            headers={"Content-Type": "application/json", "X-Forwarded-For": HOME},
        )
        assert answer.status_code == 401
    [row] = [row for row in throttle_rows(guarded.settings) if row.subject not in known]
    assert row.refused == 2


@pytest.mark.rule("LG-3")
def test_a_success_clears_its_own_pair_and_no_other(outside: httpx.Client) -> None:
    person, other = sign_up(outside), sign_up(outside)
    fail(outside, person.email, FAILURES - 1, HOME)
    fail(outside, person.email, FAILURES - 1, AWAY)
    fail(outside, other.email, FAILURES - 1, HOME)
    assert is_open(outside, person, HOME)
    fail(outside, person.email, FAILURES - 1, HOME)
    assert is_open(outside, person, HOME)
    fail(outside, person.email, 1, AWAY)
    fail(outside, other.email, 1, HOME)
    assert not is_open(outside, person, AWAY)
    assert not is_open(outside, other, HOME)


@pytest.mark.rule("LG-3")
def test_an_account_of_one_s_own_does_not_clear_the_counter_of_another(outside: httpx.Client) -> None:
    """Guess nine times, log in as oneself, guess nine times: that would be no throttle at all."""
    victim, attacker = sign_up(outside), sign_up(outside)
    fail(outside, victim.email, FAILURES - 1)
    log_in(outside, attacker)
    assert is_open(outside, attacker)
    fail(outside, victim.email, 1)
    assert not is_open(outside, victim)


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


@pytest.mark.rule("LG-3", "LG-4")
def test_rows_that_block_nobody_any_more_are_cleared_away(make_server: MakeServer) -> None:
    """Not what an account's strangers have failed one after another, however long ago; but from where they did."""
    server = make_server(trusted_proxies="127.0.0.1")
    with server.client() as client:
        old, home, person = sign_up(client), sign_up(client), sign_up(client)
        assert is_open(client, home)
        fail(client, home.email, 1)
        fail(client, old.email, FAILURES)
        fail(client, "nobody@example.com", FAILURES)
        wait_until(lambda: has_done(server, "purge"))  # the next one is an hour later
        server.clock.advance(minutes=50)
        fail(client, person.email, FAILURES)
        server.clock.advance(minutes=12)

        def seen() -> set[tuple[int | None, int, bool]]:
            return {(row.user_id, row.strangers, row.failures == "{}") for row in throttle_rows(server.settings)}

        wait_until(lambda: seen() == {(old.id, FAILURES, True), (person.id, FAILURES, False)})
        assert is_open(client, old)
        write(server.settings, delete_user, person.id, origin=OPERATOR, now=server.clock.now())
        server.clock.advance(hours=2)
        wait_until(lambda: seen() == set())
        assert len(rows(server.settings, "SELECT network FROM known_places")) == 2
        server.clock.advance(days=90)
        wait_until(lambda: rows(server.settings, "SELECT network FROM known_places") == [])
