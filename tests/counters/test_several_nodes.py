"""Several servers count together: exactly the limit is served, whichever of them is asked."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.counters.conftest import PER_ADDRESS, PER_USER, Nodes
from tests.counters.hammering import be_patient, hammer, new_address, remaining, served
from tests.login.inside import throttle_rows
from tests.mails import mails, settled
from tests.people import log_in, sign_up, signed_in
from tests.sessions.answers import at_once


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What becomes of a store that is late is shown elsewhere."""
    be_patient(monkeypatch)


@pytest.mark.rule("RL-1", "ST-4")
def test_an_address_is_served_exactly_its_limit(nodes: Nodes) -> None:
    before = nodes.fallbacks
    answers = hammer(nodes.servers, 120, new_address())
    assert Counter(answer.status_code for answer in answers) == {401: PER_ADDRESS, 429: 120 - PER_ADDRESS}
    assert remaining(answers, "address") == list(reversed(range(PER_ADDRESS)))
    for answer in (answer for answer in answers if answer.status_code == 429):
        wait = answer.headers["retry-after"]
        assert answer.json() == {"detail": "Rate limit exceeded"}
        assert 3500 <= int(wait) <= 3660
        assert answer.headers["ratelimit"] == f'"address";r=0;t={wait}'
    assert served(hammer(nodes.servers, 2, new_address())) == 2, "another address has a limit of its own"
    assert nodes.fallbacks == before


@pytest.mark.rule("RL-1", "ST-4")
def test_a_user_is_served_exactly_his_limit_in_all_sessions_from_everywhere(nodes: Nodes) -> None:
    with nodes.servers[0].client(headers={"X-Forwarded-For": new_address()}) as client:
        person = signed_in(client)
        second = log_in(client, person)
    path = f"/users/{person.id}"
    work = [
        lambda: hammer(nodes.servers, 30, new_address(), path, **person.auth),
        lambda: hammer(nodes.servers, 30, new_address(), path, **second.auth),
    ]
    before = nodes.fallbacks
    answers = [answer for part in at_once(work) for answer in part]
    assert Counter(answer.status_code for answer in answers) == {200: PER_USER, 429: 60 - PER_USER}
    assert remaining(answers, "user") == list(reversed(range(PER_USER)))
    assert nodes.fallbacks == before


@pytest.mark.rule("RL-1")
def test_an_address_beyond_its_limit_uses_nothing_of_a_user(nodes: Nodes) -> None:
    address = new_address()
    with nodes.servers[0].client(headers={"X-Forwarded-For": new_address()}) as client:
        person = signed_in(client)
    assert served(hammer(nodes.servers, PER_ADDRESS, address)) == PER_ADDRESS
    assert served(hammer(nodes.servers, 30, address, f"/users/{person.id}", **person.auth)) == 0
    [answer] = hammer(nodes.servers[1:], 1, new_address(), f"/users/{person.id}", **person.auth)
    assert remaining([answer], "user") == [PER_USER - 1]


@pytest.mark.rule("SU-6", "ST-4")
def test_mails_to_one_address_are_counted_together(nodes: Nodes) -> None:
    with nodes.servers[0].client(headers={"X-Forwarded-For": new_address()}) as client:
        person = signed_in(client)
    wanted = f"new-{person.email}"

    def ask(place: int) -> None:
        with nodes.servers[place % 2].client(headers={"X-Forwarded-For": new_address()}) as client:
            answer = client.post("/users/me/email", json={"new_email": wanted}, headers=person.auth)
            assert answer.status_code == 202, "and nobody is told that no mail goes out"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    settled(nodes.servers[0].settings)
    assert sum(len(mails(server.settings, to=wanted)) for server in nodes.servers) == 3


@pytest.mark.rule("LG-3", "ST-2")
def test_guesses_are_counted_together(nodes: Nodes) -> None:
    """By the database, whose throttle this is; not by what counts requests."""
    address = new_address()
    with nodes.servers[0].client(headers={"X-Forwarded-For": new_address()}) as client:
        person = sign_up(client)

    def guess(place: int) -> int:
        with nodes.servers[place % 2].client(headers={"X-Forwarded-For": address}) as client:
            body = {"email": person.email, "password": "wrong-Guess-1"}
            return client.post("/auth/login", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(guess, range(16))) == {401}
    [row] = throttle_rows(nodes.servers[0].settings)
    [sources] = json.loads(row.failures).values()
    assert [len(moments) for moments in sources.values()] == [10]
    assert row.refused >= 6
