"""Guessing from many places is bounded (LG-3, the other stages), and the owner gets in all the same (LG-4)."""

import json
from datetime import timedelta

import httpx
import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.edge.source import Source
from ostiary.login.places import KNOWN_FOR, MOST_PLACES, places_of
from ostiary.login.throttle import forget_user, recovered
from ostiary.users.accounts import delete_user
from tests.login.guessing import HOME, WRONG, attempt, elsewhere, fail, fail_from_everywhere, is_open
from tests.login.inside import deactivate, strangers_stored, throttle_rows
from tests.people import Person, sign_up, signed_in
from tests.server import Server
from tests.sessions.beside import rows, write

NEIGHBOUR, SIX, SIX_NEIGHBOUR = "192.0.2.200", "2001:db8:aaaa:1::1", "2001:db8:aaaa:ffff::2"
AWAY = "198.51.100.2"
SLOWED_AFTER, LOCKED_AFTER, BUDGET = 50, 100, 30


def settled(outside: httpx.Client, *sources: str) -> Person:
    """Somebody who has signed in from these places."""
    person = sign_up(outside)
    for source in sources:
        assert is_open(outside, person, source)
    return person


@pytest.mark.rule("LG-3")
def test_after_fifty_failures_from_everywhere_each_place_has_one_try_a_minute(
    guarded: Server, outside: httpx.Client
) -> None:
    quick, person = sign_up(outside), sign_up(outside)
    fail_from_everywhere(outside, quick.email, SLOWED_AFTER - 2)
    fail(outside, quick.email, 1, AWAY)
    assert is_open(outside, quick, AWAY), "49 failures slow nobody down"
    fail_from_everywhere(outside, person.email, SLOWED_AFTER - 1)
    fail(outside, person.email, 2, AWAY)
    assert strangers_stored(guarded.settings, person) == SLOWED_AFTER, "the second is refused"
    assert not is_open(outside, person, AWAY)
    guarded.clock.advance(seconds=59.999)
    assert not is_open(outside, person, AWAY)
    guarded.clock.advance(seconds=0.001)
    assert is_open(outside, person, AWAY), "what was refused has not prolonged it"
    [stranger] = elsewhere(1)
    assert is_open(outside, person, stranger), "a first try is at once"


@pytest.mark.rule("LG-3")
@pytest.mark.parametrize(("seconds", "slows"), [(3599.999, True), (3600, False)])
def test_fifty_failures_slow_down_only_within_an_hour(
    guarded: Server, outside: httpx.Client, seconds: float, *, slows: bool
) -> None:
    person = sign_up(outside)
    fail_from_everywhere(outside, person.email, SLOWED_AFTER - 1)
    guarded.clock.advance(seconds=seconds)
    fail(outside, person.email, 1, AWAY)
    assert is_open(outside, person, AWAY) is not slows


@pytest.mark.rule("LG-3")
def test_failures_in_known_places_count_among_the_fifty(outside: httpx.Client) -> None:
    person = settled(outside, HOME)
    fail(outside, person.email, BUDGET)
    fail_from_everywhere(outside, person.email, SLOWED_AFTER - BUDGET - 1)
    fail(outside, person.email, 1, AWAY)
    assert not is_open(outside, person, AWAY)


@pytest.mark.rule("LG-3")
def test_a_hundred_failures_of_strangers_lock_strangers_out_and_ninety_nine_do_not(
    guarded: Server, outside: httpx.Client
) -> None:
    lucky, person = sign_up(outside), sign_up(outside)
    fail_from_everywhere(outside, lucky.email, LOCKED_AFTER - 1)
    assert is_open(outside, lucky, AWAY)
    fail_from_everywhere(outside, lucky.email, 1)
    assert strangers_stored(guarded.settings, lucky) == 1, "a success ends the row of failures"
    fail_from_everywhere(outside, person.email, LOCKED_AFTER)
    guarded.clock.advance(days=400)
    for stranger in (AWAY, HOME, *elsewhere(2)):
        assert not is_open(outside, person, stranger)
    assert strangers_stored(guarded.settings, person) == LOCKED_AFTER


@pytest.mark.rule("LG-3")
def test_slow_failures_lock_too(guarded: Server, outside: httpx.Client) -> None:
    """Nine in a quarter of an hour from one place, on and on, are never blocked nor slowed down."""
    person = sign_up(outside)
    for _ in range(LOCKED_AFTER // 4):
        fail(outside, person.email, 4)
        guarded.clock.advance(minutes=15)
    assert not is_open(outside, person)


@pytest.mark.rule("LG-3", "LG-4")
def test_the_owner_gets_in_from_a_known_place_and_opens_the_others(guarded: Server, outside: httpx.Client) -> None:
    person = settled(outside, HOME, SIX)
    fail_from_everywhere(outside, person.email, LOCKED_AFTER)
    guarded.clock.advance(minutes=1)
    assert not is_open(outside, person, AWAY)
    assert is_open(outside, person, NEIGHBOUR)
    assert is_open(outside, person, AWAY), "nobody is locked out after a success from a known place"
    fail_from_everywhere(outside, person.email, LOCKED_AFTER)
    assert is_open(outside, person, SIX_NEIGHBOUR)


@pytest.mark.rule("LG-4")
def test_strangers_at_the_door_of_one_place_keep_nobody_out(outside: httpx.Client) -> None:
    """Not even where the owner's own source is blocked: that counts strangers, and he is none there."""
    person = settled(outside, HOME)
    fail(outside, person.email, BUDGET - 1)
    assert is_open(outside, person)


@pytest.mark.rule("LG-4")
def test_a_known_place_has_thirty_failures_an_hour_and_is_unknown_beyond(
    guarded: Server, outside: httpx.Client
) -> None:
    person = settled(outside, HOME)
    fail_from_everywhere(outside, person.email, LOCKED_AFTER)
    fail(outside, person.email, BUDGET // 2, HOME)
    guarded.clock.advance(minutes=30)
    fail(outside, person.email, BUDGET // 2, NEIGHBOUR)
    assert not is_open(outside, person, HOME)
    guarded.clock.advance(minutes=29, seconds=59.999)
    assert not is_open(outside, person, "192.0.2.77"), "the whole network shares one budget"
    guarded.clock.advance(seconds=0.001)
    assert is_open(outside, person, HOME)


@pytest.mark.rule("LG-4")
def test_beyond_its_budget_a_known_place_goes_through_the_stages(outside: httpx.Client) -> None:
    person = settled(outside, HOME)
    fail(outside, person.email, BUDGET, NEIGHBOUR)
    assert not is_open(outside, person, NEIGHBOUR), "blocked: thirty failures from one source"
    assert is_open(outside, person, HOME), "as a stranger who has not failed yet"


@pytest.mark.rule("LG-4")
@pytest.mark.parametrize(("span", "is_known"), [(KNOWN_FOR - timedelta(milliseconds=1), True), (KNOWN_FOR, False)])
def test_a_place_is_known_for_ninety_days(
    guarded: Server, outside: httpx.Client, span: timedelta, *, is_known: bool
) -> None:
    person = settled(outside, HOME)
    guarded.clock.advance(seconds=span.total_seconds())
    fail_from_everywhere(outside, person.email, LOCKED_AFTER)
    assert is_open(outside, person) is is_known


@pytest.mark.rule("LG-4")
def test_a_place_is_written_down_once_a_day(guarded: Server, outside: httpx.Client) -> None:
    person = settled(outside, HOME)
    first = guarded.clock.now()
    guarded.clock.advance(hours=23, minutes=59)
    assert is_open(outside, person, NEIGHBOUR)
    assert write(guarded.settings, places_of, person.id) == {"192.0.2.0/24": first}
    guarded.clock.advance(minutes=1)
    assert is_open(outside, person, SIX)
    assert is_open(outside, person, NEIGHBOUR)
    now = guarded.clock.now()
    assert write(guarded.settings, places_of, person.id) == {"192.0.2.0/24": now, "2001:db8:aaaa::/48": now}


@pytest.mark.rule("LG-4", "IN-3")
def test_the_places_of_a_user_have_a_bound(guarded: Server, outside: httpx.Client) -> None:
    person = settled(outside, HOME)
    guarded.clock.advance(days=2)
    for source in elsewhere(MOST_PLACES):
        assert is_open(outside, person, source)
    places = write(guarded.settings, places_of, person.id)
    assert len(places) == MOST_PLACES
    assert "192.0.2.0/24" not in places, "the one that was not seen for longest"
    write(guarded.settings, delete_user, person.id, origin=OPERATOR, now=guarded.clock.now())
    assert write(guarded.settings, places_of, person.id) == {}


@pytest.mark.rule("LG-4")
def test_failures_and_refused_logins_make_no_place_known(guarded: Server, outside: httpx.Client) -> None:
    person, gone = sign_up(outside), sign_up(outside)
    deactivate(guarded, gone)
    fail(outside, person.email, 3)
    assert not is_open(outside, gone)
    assert rows(guarded.settings, "SELECT user_id FROM known_places WHERE user_id >= ?", person.id) == []
    [moments] = [json.loads(row.failures) for row in throttle_rows(guarded.settings) if row.user_id == gone.id]
    assert list(moments) == ["192.0.2.0/24"], "the right password of a deactivated account clears nothing"


@pytest.mark.rule("LG-3", "LG-4")
def test_recovery_opens_an_account_that_is_locked(guarded: Server, outside: httpx.Client) -> None:
    person = sign_up(outside)
    fail_from_everywhere(outside, person.email, LOCKED_AFTER)
    assert not is_open(outside, person, AWAY)
    write(guarded.settings, recovered, person.id, Source(SIX, "2001:db8:aaaa:1::/64"), now=guarded.clock.now())
    assert list(write(guarded.settings, places_of, person.id)) == ["2001:db8:aaaa::/48"]
    fail_from_everywhere(outside, person.email, LOCKED_AFTER)
    assert is_open(outside, person, SIX_NEIGHBOUR)
    assert is_open(outside, person, AWAY)


@pytest.mark.rule("LG-3")
def test_a_success_clears_counters_of_its_own_account_alone(guarded: Server, outside: httpx.Client) -> None:
    person, other = settled(outside, HOME), settled(outside, HOME)
    fail_from_everywhere(outside, other.email, LOCKED_AFTER)
    assert is_open(outside, person)
    assert not is_open(outside, other, AWAY)
    write(guarded.settings, forget_user, person.id)
    assert not is_open(outside, other, AWAY)


@pytest.mark.rule("LG-1", "LG-2", "LG-3")
def test_an_address_that_nobody_has_is_slowed_and_locked_alike(guarded: Server, outside: httpx.Client) -> None:
    person = sign_up(outside)
    nobody = f"nobody-{person.email}"
    for source in elsewhere(LOCKED_AFTER + 5):
        for email in (person.email, nobody):
            assert attempt(outside, email, WRONG, source) == 401
    newest = [row for row in throttle_rows(guarded.settings) if row.refused == 5]
    assert {row.user_id for row in newest} == {person.id, None}
    known, unknown = newest
    assert (known.failures, known.strangers) == (unknown.failures, unknown.strangers)


@pytest.mark.rule("LG-1", "LG-4")
def test_how_an_account_stands_shows_in_no_answer(outside: httpx.Client) -> None:
    person = sign_up(outside)
    answers = set()
    for number, source in enumerate(elsewhere(LOCKED_AFTER + 2)):
        password = person.password if number >= LOCKED_AFTER else WRONG
        body = {"email": person.email, "password": password}
        answer = outside.post("/auth/login", json=body, headers={"X-Forwarded-For": source})
        changing = {b"date", b"x-request-id"}
        headers = tuple(header for header in answer.headers.raw if header[0].lower() not in changing)
        answers.add((answer.status_code, answer.content, headers))
    assert len(answers) == 1


@pytest.mark.rule("PW-7", "LG-3", "LG-4")
def test_whoever_is_signed_in_proves_his_password_whatever_strangers_do(guarded: Server, outside: httpx.Client) -> None:
    """Where the network is not known, the session is: one budget, whichever networks its holder comes from."""
    person = signed_in(outside)

    def prove(password: str, source: str) -> int:
        headers = person.auth | {"X-Forwarded-For": source}
        return outside.post("/auth/reauthenticate", headers=headers, json={"password": password}).status_code

    fail_from_everywhere(outside, person.email, LOCKED_AFTER)
    assert not is_open(outside, person, AWAY)
    assert prove(person.password, AWAY) == 200
    fail_from_everywhere(outside, person.email, LOCKED_AFTER)
    assert [prove(WRONG, source) for source in elsewhere(BUDGET)] == [403] * BUDGET
    assert prove(person.password, AWAY) == 403
    assert prove(person.password, "127.0.0.1") == 200, "where he signed in from, it counts with the logins from there"
    assert list(write(guarded.settings, places_of, person.id)) == ["127.0.0.0/24"], "a proof makes no place known"
