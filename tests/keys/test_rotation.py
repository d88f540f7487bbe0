"""Signing keys over time: published, signing, kept, gone; by age, on request, and in an emergency (SK-4)."""

import asyncio
from functools import partial

import httpx
import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.context import App
from ostiary.crypto.jwk import generate_key
from ostiary.keys.flows import add_key
from ostiary.problems import NotFound
from ostiary.upkeep import EVERY_SECONDS
from tests.conftest import MakeServer
from tests.crypto.tokens import forge
from tests.keys.inside import kid_of, published, revoke, rotate, verify_outside
from tests.keys.rounds import Rounds
from tests.people import Person, bearer, log_in, refresh, sign_up, signed_in
from tests.sessions.answers import at_once, claims_of, header_of, tokens_in, works
from tests.sessions.beside import restarted, rows, write


@pytest.mark.rule("SK-4")
def test_keys_change_every_ninety_days_without_a_restart_and_no_token_is_lost(make_server: MakeServer) -> None:
    rounds = Rounds()
    server = make_server(change=rounds.plant, access_token_lifetime="60m", refresh_token_idle="30d")
    clock = server.clock
    with server.client() as client:
        person = sign_up(client)
        [first] = published(server)

        clock.advance(days=88, hours=23, minutes=59, seconds=59)
        rounds.wait()
        assert list(published(server)) == [first], "a day before its ninetieth and not earlier"
        clock.advance(seconds=1)
        rounds.wait()
        _, second = published(server)

        clock.advance(hours=23, minutes=59, seconds=59)
        rounds.wait()
        last_of_first = log_in(client, person).access_token
        assert kid_of(last_of_first) == first, "published for a day before it signs"
        clock.advance(seconds=1)
        first_of_second = log_in(client, person).access_token
        assert kid_of(first_of_second) == second
        verify_outside(server, first_of_second)

        clock.advance(minutes=59, seconds=58)
        rounds.wait()
        assert works(client, last_of_first)
        clock.advance(minutes=60, seconds=1)
        rounds.wait()
        assert claims_of(last_of_first)["exp"] + 3600 == int(clock.now().timestamp())
        assert list(published(server)) == [first, second], "kept until its longest token plus an hour has ended"
        clock.advance(seconds=1)
        rounds.wait()
        assert list(published(server)) == [second]
        clock.advance(hours=1)
        rounds.wait()
        rounds.wait()
        assert rows(server.settings, "SELECT kid FROM signing_keys") == [(second,)], "its private part is gone too"

        clock.advance(days=90)
        rounds.wait()
        assert len(published(server)) == 2, "and so on"


@pytest.mark.rule("SK-4")
def test_a_key_made_on_request_is_published_a_day_before_it_signs(make_server: MakeServer) -> None:
    rounds = Rounds()
    server = make_server(change=rounds.plant)
    with server.client() as client:
        person = signed_in(client)
        old = kid_of(person.access_token)
        new = rotate(server).kid
        rounds.wait()
        assert list(published(server)) == [old, new]
        assert kid_of(log_in(client, person).access_token) == old
        server.clock.advance(hours=23, minutes=59, seconds=59)
        before = log_in(client, person).access_token
        assert kid_of(before) == old
        server.clock.advance(seconds=1)
        after = log_in(client, person).access_token
        assert kid_of(after) == new
        assert works(client, before)
        assert works(client, after)
        rounds.wait()
        assert list(published(server)) == [old, new]


@pytest.mark.rule("SK-4")
def test_a_key_made_in_an_emergency_signs_within_a_round_of_upkeep(make_server: MakeServer) -> None:
    rounds = Rounds()
    server = make_server(change=rounds.plant)
    with server.client() as client:
        person = signed_in(client)
        new = rotate(server, at_once=True).kid
        rounds.wait()
        assert new in published(server)
        access, _ = tokens_in(refresh(client, person.refresh_token))
        assert kid_of(access) == new
        assert works(client, access)
        assert works(client, person.access_token), "the old one is replaced, not revoked"
    assert EVERY_SECONDS <= 60


@pytest.mark.rule("D3", "SK-4", "TK-1")
def test_what_a_revoked_key_signed_is_refused_and_nobody_is_signed_out(make_server: MakeServer) -> None:
    rounds = Rounds()
    server = make_server(change=rounds.plant)
    with server.client() as client:
        person = signed_in(client)
        leaked = server.app.ring.signer
        revoke(server, leaked.kid)
        rounds.wait()
        assert leaked.kid not in published(server)
        assert not works(client, person.access_token)
        forged = forge(header_of(person.access_token), claims_of(person.access_token), leaked)
        assert not works(client, forged)
        access, _ = tokens_in(refresh(client, person.refresh_token))
        assert kid_of(access) != leaked.kid
        assert works(client, access)
        with pytest.raises(NotFound):
            revoke(server, "unknown")
    server = restarted(make_server, server)
    with server.client() as client:
        assert not works(client, person.access_token), "revoked is revoked, after a restart too"
        assert works(client, access)


@pytest.mark.rule("D3", "SK-4")
def test_a_key_revoked_before_its_day_never_signs(make_server: MakeServer) -> None:
    rounds = Rounds()
    server = make_server(change=rounds.plant)
    with server.client() as client:
        person = sign_up(client)
        [signing] = published(server)
        pending = generate_key("ES256")
        write(
            server.settings, add_key, pending, server.app.sealer, at_once=False, origin=OPERATOR, now=server.clock.now()
        )
        rounds.wait()
        revoke(server, pending.kid)
        rounds.wait()
        assert list(published(server)) == [signing]
        server.clock.advance(hours=25)
        token = log_in(client, person).access_token
        assert kid_of(token) == signing
        assert not works(client, forge(header_of(token) | {"kid": pending.kid}, claims_of(token), pending))


@pytest.mark.rule("D3", "SK-4", "TK-1")
def test_a_key_that_is_gone_signs_for_nobody(make_server: MakeServer) -> None:
    """Whoever still holds the private part of a key that was retired in order gains nothing from it."""
    rounds = Rounds()
    server = make_server(change=rounds.plant)
    with server.client() as client:
        person = sign_up(client)
        retired = server.app.ring.signer
        rotate(server, at_once=True)
        server.clock.advance(hours=2)
        rounds.wait()
        token = log_in(client, person).access_token
        forged = forge(header_of(token) | {"kid": retired.kid}, claims_of(token), retired)
        assert retired.kid not in published(server)
        assert not works(client, forged)
        assert works(client, token)


@pytest.mark.rule("SK-4")
def test_a_clock_that_is_behind_the_first_key_signs_all_the_same(make_server: MakeServer) -> None:
    """A machine whose clock ran ahead when the installation was made, and was put right."""
    server = make_server()
    server.clock.step(minutes=-30)
    with server.client() as client:
        assert works(client, signed_in(client).access_token)


@pytest.mark.rule("SK-4")
def test_another_algorithm_in_the_settings_rotates_like_any_change(make_server: MakeServer) -> None:
    before = make_server()
    with before.client() as client:
        person = signed_in(client)
    server = restarted(make_server, before, signing_algorithm="EdDSA")
    assert [key["alg"] for key in published(server).values()] == ["ES256", "EdDSA"]
    with server.client() as client:
        access, token = tokens_in(refresh(client, person.refresh_token))
        assert header_of(access)["alg"] == "ES256", "verifiers elsewhere do not know the new key yet"
        assert works(client, person.access_token)
        server.clock.advance(days=1)
        access, token = tokens_in(refresh(client, token))
        assert header_of(access)["alg"] == "EdDSA"
        assert works(client, access)


@pytest.fixture
def without_upkeep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.server.UPKEEP_SECONDS", 3600.0)


def _read_slowly(app: App) -> None:
    read = app.ring.read

    async def slow() -> None:
        await read()
        await asyncio.sleep(0.3)

    app.ring.read = slow  # type: ignore[method-assign]


@pytest.mark.rule("SK-4")
@pytest.mark.usefixtures("without_upkeep")
def test_a_key_made_by_one_node_is_accepted_by_the_other_at_once_by_all_who_bring_it(make_server: MakeServer) -> None:
    here = make_server(change=_read_slowly)
    rotate(here, at_once=True)
    there = make_server(like=here)
    with here.client() as client, there.client() as other:
        person: Person = signed_in(other)
        assert kid_of(person.access_token) not in here.app.ring.verifiers
        answers = at_once([partial(client.get, "/users", headers=person.auth)] * 20)
        assert [answer.status_code for answer in answers] == [200] * 20
        assert list(published(here)) == list(published(there))


@pytest.mark.rule("D3")
@pytest.mark.usefixtures("without_upkeep")
def test_unknown_keys_make_the_ring_be_read_once_a_second_and_no_more(make_server: MakeServer) -> None:
    rounds = Rounds()
    server = make_server(change=rounds.plant)
    with server.client() as client:
        token = signed_in(client).access_token
        before = rounds.count
        stranger = generate_key("ES256")
        forged = forge(header_of(token) | {"kid": stranger.kid}, claims_of(token), stranger)
        calls = [partial(client.get, "/users", headers=bearer(forged))] * 10
        for expected in (1, 2):
            for _ in range(2):
                answers: list[httpx.Response] = at_once(calls)
                assert [answer.status_code for answer in answers] == [401] * 10
            assert rounds.count == before + expected
            server.clock.advance(seconds=1)
