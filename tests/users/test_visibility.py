"""Who sees whom, under either setting of `directory_visibility`: one rule for items, totals and single reads."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.audit.origin import OPERATOR
from ostiary.problems import NotFound
from ostiary.users.accounts import delete_user, set_active, set_superuser
from ostiary.users.listing import DirectoryVisibility, Scope, Wanted, read_users, scope_of
from ostiary.users.models import User
from tests.conftest import NewDatabase, settings_for_tests
from tests.people import Person, sign_up, signed_in
from tests.roles.planted import plant_holder, plant_role, take_role
from tests.server import Server
from tests.sessions.beside import beside, rows, write
from tests.users.asking import MEMBERS, NOT_FOUND, fingerprint, plant_user


@dataclass
class House:
    """A server with users of every kind, some of whom are signed in."""

    server: Server
    client: httpx.Client
    sees_all: bool
    """Under this setting every user sees every other."""
    callers: dict[str, Person]
    everybody: list[int]
    nobody: int
    """An id that was given out, and whose user is gone."""

    def seen_by(self, who: str) -> list[int]:
        """Whom somebody is to see, said once more and apart from the product."""
        return self.everybody if self.sees_all or who in SEE_ALL else [self.callers[who].id]

    def get(self, who: str, path: str) -> httpx.Response:
        return self.client.get(path, headers=self.callers[who].auth)

    def page(self, who: str, *, skip: int = 0, limit: int = 100) -> dict[str, Any]:
        answer = self.get(who, f"/users?skip={skip}&limit={limit}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        assert list(body) == ["items", "total", "skip", "limit"]
        return body


CALLERS = ("first", "second", "reader", "superuser")
SEE_ALL = ("reader", "superuser")


@pytest.fixture(scope="module", params=["members", "self"])
def house(
    request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    made = settings_for_tests(tmp_path_factory.mktemp("house"), new_database(), directory_visibility=request.param)
    with Server(made) as server, server.client() as client:
        plant_user(server)
        callers = {}
        for who in CALLERS:
            callers[who] = signed_in(client)
            plant_user(server)
        write(
            server.settings,
            set_superuser,
            callers["superuser"].id,
            is_superuser=True,
            origin=OPERATOR,
            now=server.clock.now(),
        )
        plant_role(server, "reader", "users:read")
        plant_holder(server, callers["reader"].id, "reader")
        inactive, other_superuser, gone = (plant_user(server).id for _ in range(3))
        write(server.settings, set_active, inactive, is_active=False, origin=OPERATOR, now=server.clock.now())
        write(
            server.settings, set_superuser, other_superuser, is_superuser=True, origin=OPERATOR, now=server.clock.now()
        )
        write(server.settings, delete_user, gone, origin=OPERATOR, now=server.clock.now())
        everybody = [user_id for (user_id,) in rows(server.settings, "SELECT id FROM users ORDER BY id")]
        yield House(server, client, request.param == "members", callers, everybody, gone)


@pytest.mark.rule("AD-3", "AD-5")
@pytest.mark.parametrize("who", CALLERS)
def test_items_total_and_single_reads_never_disagree(house: House, who: str) -> None:
    body = house.page(who)
    assert [item["id"] for item in body["items"]] == house.seen_by(who)
    assert body["total"] == len(house.seen_by(who))
    listed = {item["id"]: item for item in body["items"]}
    for user_id in [*house.everybody, house.nobody, 999_999_999]:
        answer = house.get(who, f"/users/{user_id}")
        if user_id in listed:
            assert (answer.status_code, answer.json()) == (200, listed[user_id])
        else:
            assert (answer.status_code, answer.json()) == (404, NOT_FOUND)


@pytest.mark.rule("AD-3")
@given(who=st.sampled_from(CALLERS), skip=st.integers(0, 14) | st.integers(0, 2**53 - 1), limit=st.integers(1, 100))
@settings(max_examples=30)
def test_every_page_is_a_slice_of_what_the_caller_sees(house: House, who: str, skip: int, limit: int) -> None:
    seen = house.seen_by(who)
    body = house.page(who, skip=skip, limit=limit)
    assert [item["id"] for item in body["items"]] == seen[skip : skip + limit]
    assert (body["total"], body["skip"], body["limit"]) == (len(seen), skip, limit)


@pytest.mark.rule("AD-3")
@pytest.mark.parametrize("who", CALLERS)
def test_who_is_not_to_be_seen_cannot_be_told_from_nobody(house: House, who: str) -> None:
    base = fingerprint(house.get(who, f"/users/{house.nobody}"))
    assert base[0] == 404
    hidden = set(house.everybody) - set(house.seen_by(who))
    assert len(hidden) == (0 if house.sees_all or who in SEE_ALL else len(house.everybody) - 1)
    for user_id in (*hidden, 0, -1, 999_999_999, 2**63, 2**64):
        assert fingerprint(house.get(who, f"/users/{user_id}")) == base
        assert house.client.head(f"/users/{user_id}", headers=house.callers[who].auth).status_code == 404


@pytest.mark.rule("AD-5")
def test_everybody_sees_himself(house: House) -> None:
    for who, person in house.callers.items():
        answer = house.get(who, f"/users/{person.id}")
        expected = person.user | {"is_superuser": who == "superuser"}
        assert (answer.status_code, answer.json()) == (200, expected)
        assert expected in house.page(who)["items"]


@pytest.mark.rule("AD-5")
def test_nothing_secret_is_in_any_answer(house: House) -> None:
    kept = rows(house.server.settings, "SELECT password_hash FROM passwords")
    assert len(kept) >= len(CALLERS)
    secrets = [password_hash for (password_hash,) in kept] + [person.password for person in house.callers.values()]
    for who in CALLERS:
        answers = [house.get(who, "/users?limit=100"), *(house.get(who, f"/users/{n}") for n in house.seen_by(who))]
        for answer in answers:
            assert answer.status_code == 200
            assert not [secret for secret in secrets if secret in answer.text]
            assert "$argon2" not in answer.text
        for user in itertools.chain(answers[0].json()["items"], (answer.json() for answer in answers[1:])):
            assert list(user) == MEMBERS


@pytest.mark.rule("AD-3", "AD-5")
def test_a_token_shows_what_its_user_may_see_by_now(house: House) -> None:
    person, other = signed_in(house.client), sign_up(house.client)
    now = house.server.clock.now()

    def sees_other() -> bool:
        single = house.client.get(f"/users/{other.id}", headers=person.auth)
        total = house.client.get("/users?limit=1", headers=person.auth).json()["total"]
        assert (single.status_code == 200) == (total > 1)
        return single.status_code == 200

    try:
        assert sees_other() == house.sees_all
        write(house.server.settings, set_superuser, person.id, is_superuser=True, origin=OPERATOR, now=now)
        assert sees_other()
        write(house.server.settings, set_superuser, person.id, is_superuser=False, origin=OPERATOR, now=now)
        assert sees_other() == house.sees_all
        plant_holder(house.server, person.id, "reader")
        assert sees_other()
        take_role(house.server, person.id, "reader")
        assert sees_other() == house.sees_all
    finally:
        write(house.server.settings, delete_user, person.id, origin=OPERATOR, now=house.server.clock.now())
        write(house.server.settings, delete_user, other.id, origin=OPERATOR, now=house.server.clock.now())


@pytest.mark.rule("AD-3")
def test_readings_that_share_a_statement_do_not_share_what_they_see(house: House) -> None:
    """Readings at the same moment become one statement, each under its own rule."""
    own, other = house.callers["first"].id, house.callers["second"].id
    wanted = [
        Wanted(other, Scope()),
        Wanted(other, Scope(only=own)),
        Wanted(own, Scope(only=own)),
        Wanted(own, Scope(only=other)),
        Wanted(house.nobody, Scope()),
        Wanted(other, Scope(only=other)),
    ]
    answers = beside(house.server.settings, lambda database: read_users(database, wanted))
    assert [answer.id if isinstance(answer, User) else type(answer) for answer in answers] == [
        other,
        NotFound,
        own,
        NotFound,
        NotFound,
        other,
    ]


@pytest.mark.rule("AD-5")
@given(caller=st.integers(1), other=st.integers(1), may_read=st.booleans())
def test_the_rule_itself(caller: int, other: int, may_read: bool) -> None:  # noqa: FBT001 - drawn by name
    members, self_only = (
        scope_of(user_id=caller, may_read_users=may_read, visibility=visibility)
        for visibility in (DirectoryVisibility.MEMBERS, DirectoryVisibility.SELF)
    )
    assert members.holds(other)
    assert self_only.holds(caller)
    assert self_only.holds(other) == (may_read or other == caller)
