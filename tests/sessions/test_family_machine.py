"""Whatever happens to a family of refresh tokens, in whatever order: at most one is live, and nobody who retries only
within the window is signed out.

Hypothesis makes up the stories; a model of a few lines says how each must go on.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import booleans, integers, sampled_from

from ostiary.crypto.opaque import token_hash
from tests.conftest import MakeServer
from tests.people import Person, bearer, log_in, refresh, sign_up
from tests.server import Server
from tests.sessions.answers import assert_refused, at_once, session_of, tokens_in, works
from tests.sessions.beside import restarted, rows

WINDOW, IDLE, ABSOLUTE, ACCESS = (timedelta(seconds=each) for each in (10, 60, 300, 60))
MOST_FAMILIES = 3
WAITS_MS = (1, 999, 4_000, 9_999, 10_000, 10_001, 30_000, 59_999, 60_000, 60_001, 150_000)


@dataclass
class Place:
    """Where a story happens: a running server, which a restart replaces."""

    server: Server
    restart: Callable[[Server], Server]
    person: Person
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.server.client()

    @property
    def now(self) -> datetime:
        return self.server.clock.now()

    def start_again(self) -> None:
        self.client.close()
        self.server = self.restart(self.server)
        self.client = self.server.client()


@dataclass
class Family:
    """What must be true of one session: its tokens in order, the last of which is live while the family lives."""

    id: str
    begun_at: datetime
    rotated_at: datetime
    tokens: list[str]
    accesses: list[tuple[str, datetime]]
    ended: bool = False

    @property
    def expires_at(self) -> datetime:
        return min(self.rotated_at + IDLE, self.begun_at + ABSOLUTE)

    def is_over(self, now: datetime) -> bool:
        return self.ended or now >= self.expires_at

    def present(self, number: int, now: datetime) -> str:
        """Say what becomes of a token that is presented: `next`, `again` or `refused`."""
        if self.is_over(now):
            return "refused"
        if number == len(self.tokens) - 1:
            return "next" if now < self.expires_at.replace(microsecond=0) else "refused"  # `exp` is whole seconds
        if number == len(self.tokens) - 2 and now < self.rotated_at + WINDOW:
            return "again"
        self.ended = True
        return "refused"


class Families(RuleBasedStateMachine):
    """One user, up to three sessions."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.families: list[Family] = []
        self.restarts = 0

    @initialize()
    def begin(self) -> None:
        self._log_in()

    @rule()
    @precondition(lambda self: len(self.families) < MOST_FAMILIES)
    def log_in_elsewhere(self) -> None:
        self._log_in()

    def _log_in(self) -> None:
        place = self.place
        person = log_in(place.client, place.person)
        tokens, accesses = [person.refresh_token], [(person.access_token, place.now)]
        self.families.append(Family(session_of(person), place.now, place.now, tokens, accesses))

    @rule(which=integers(0, MOST_FAMILIES), twice_at_once=booleans())
    def refresh_with_the_live_token(self, which: int, *, twice_at_once: bool) -> None:
        family = self._family(which)
        self._present(family, len(family.tokens) - 1, twice_at_once=twice_at_once)

    @rule(which=integers(0, MOST_FAMILIES))
    def retry_with_the_one_before(self, which: int) -> None:
        family = self._family(which)
        self._present(family, max(0, len(family.tokens) - 2))

    @rule(which=integers(0, MOST_FAMILIES), back=integers(2, 5))
    def replay_an_old_one(self, which: int, back: int) -> None:
        family = self._family(which)
        self._present(family, max(0, len(family.tokens) - 1 - back))

    @rule(milliseconds=sampled_from(WAITS_MS))
    def wait(self, milliseconds: int) -> None:
        self.place.server.clock.advance(milliseconds=milliseconds)

    @rule(which=integers(0, MOST_FAMILIES), milliseconds=sampled_from((1, 500, 1_000, 5_000)))
    def wait_until_just_before_the_end(self, which: int, milliseconds: int) -> None:
        moment = self._family(which).expires_at - timedelta(milliseconds=milliseconds)
        if moment > self.place.now:
            self.place.server.clock.advance(seconds=(moment - self.place.now).total_seconds())

    @rule(which=integers(0, MOST_FAMILIES))
    def log_out(self, which: int) -> None:
        family = self._family(which)
        token, issued_at = family.accesses[-1]
        answer = self.place.client.post("/auth/logout", headers=bearer(token))
        if self._access_is_live(family, issued_at):
            assert answer.status_code == 204
            family.ended = True
        else:
            assert_refused(answer)

    @rule()
    @precondition(lambda self: self.restarts < 1)
    def restart(self) -> None:
        self.restarts += 1
        self.place.start_again()

    def _family(self, which: int) -> Family:
        return self.families[which % len(self.families)]

    def _access_is_live(self, family: Family, issued_at: datetime) -> bool:
        now = self.place.now
        if family.ended or now >= family.begun_at + ABSOLUTE:
            return False
        # `iat` and `exp` are whole seconds.
        return now < min(issued_at.replace(microsecond=0) + ACCESS, (family.begun_at + ABSOLUTE).replace(microsecond=0))

    def _present(self, family: Family, number: int, *, twice_at_once: bool = False) -> None:
        token, now = family.tokens[number], self.place.now
        expected = family.present(number, now)
        calls = [partial(refresh, self.place.client, token)] * (1 + twice_at_once)
        answers = at_once(calls)
        if expected == "refused":
            for answer in answers:
                assert_refused(answer)
            return
        successors = {tokens_in(answer)[1] for answer in answers}
        assert len(successors) == 1, "whoever retries is answered the same"
        [successor] = successors
        if expected == "again":
            assert successor == family.tokens[-1]
        else:
            assert successor not in family.tokens
            family.tokens.append(successor)
            family.rotated_at = now
        family.accesses.append((tokens_in(answers[-1])[0], now))

    @invariant()
    def at_most_one_token_is_live_and_it_is_the_last(self) -> None:
        """As the database says, over a connection of its own, which is what every server will go by."""
        query = "SELECT id, refresh_hash, generation, revoked_at FROM sessions WHERE user_id = ?"
        stored = {row[0]: row[1:] for row in rows(self.place.server.settings, query, self.place.person.id)}
        for family in self.families:
            digest, generation, revoked_at = stored[family.id]
            matching = [number for number, token in enumerate(family.tokens) if token_hash(token) == bytes(digest)]
            assert matching == [len(family.tokens) - 1]
            assert generation == len(family.tokens) - 1
            assert (revoked_at is not None) == family.ended

    @invariant()
    def the_newest_access_token_works_just_as_long_as_it_should(self) -> None:
        for family in self.families[-1:]:
            token, issued_at = family.accesses[-1]
            assert works(self.place.client, token) == self._access_is_live(family, issued_at)

    def teardown(self) -> None:
        """Present everything that was ever handed out, in any order: of each family one token at most still counts."""
        self.place.server.clock.advance(seconds=WINDOW.total_seconds())
        for family in self.families:
            is_over = family.is_over(self.place.now)
            shuffled = random.sample(family.tokens, len(family.tokens))
            for tokens in ([family.tokens[-1], *family.tokens[:-1]], shuffled):
                answers = [refresh(self.place.client, token) for token in tokens]
                live = [answer for answer in answers if answer.status_code == 200]
                assert len(live) <= (0 if is_over else 1)
                is_over = len(family.tokens) > 1 or is_over


@pytest.mark.rule("D2", "TK-4", "TK-5", "TK-3")
def test_a_family_has_at_most_one_live_token_and_honest_clients_stay_signed_in(make_server: MakeServer) -> None:
    options = {
        "refresh_replay_window": "10s",
        "refresh_token_idle": "60s",
        "refresh_token_lifetime": "5m",
        "access_token_lifetime": "1m",
    }
    server = make_server(**options)
    with server.client() as client:
        person = sign_up(client)
    place = Place(server, lambda before: restarted(make_server, before, **options), person)
    run_state_machine_as_test(
        partial(Families, place),  # type: ignore[arg-type]
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # making a story shorter would take longer than a test may
            database=None,
        ),
    )
    place.client.close()
