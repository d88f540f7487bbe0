"""Many at once: bounds hold, nothing hangs on what is gone, and who was demoted gives nothing any more."""

from collections.abc import Callable
from functools import partial

import httpx
import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.roles.definitions import MAX_ROLES
from ostiary.roles.granting import MAX_ROLES_PER_USER
from ostiary.users.accounts import set_superuser
from tests.people import Person, sign_up
from tests.roles.acting import change, give, holder, make, names_of, recorded_of, remove, superuser, take
from tests.roles.planted import plant_holder, plant_role, plant_roles
from tests.server import Server
from tests.sessions.answers import at_once
from tests.sessions.beside import rows, write

ROUNDS = 3


@pytest.fixture(scope="module")
def root(server: Server) -> Person:
    with server.client() as client:
        return superuser(server, client)


def test_a_role_given_many_times_at_once_is_given_once(server: Server, client: httpx.Client, root: Person) -> None:
    person = sign_up(client)
    plant_role(server, "wanted")
    answers = at_once([partial(give, client, root, person.id, "wanted")] * 12)
    assert {answer.status_code for answer in answers} == {204}
    assert [row.event for row in recorded_of(server, "wanted")] == ["role_granted"]
    answers = at_once([partial(take, client, root, person.id, "wanted")] * 12)
    assert sorted(answer.status_code for answer in answers) == [204] + [404] * 11
    assert [row.event for row in recorded_of(server, "wanted")] == ["role_granted", "role_revoked"]


@pytest.mark.rule("AD-4")
def test_many_roles_at_once_stay_within_the_bound(server: Server, client: httpx.Client, root: Person) -> None:
    person = sign_up(client)
    names = [f"bound-{number}" for number in range(MAX_ROLES_PER_USER + 6)]
    plant_roles(server, names)
    plant_holder(server, person.id, *names[: MAX_ROLES_PER_USER - 2])
    answers = at_once([partial(give, client, root, person.id, name) for name in names[MAX_ROLES_PER_USER - 2 :]])
    assert sorted(answer.status_code for answer in answers) == [204] * 2 + [403] * 6
    assert len(names_of(client, root, person.id)) == MAX_ROLES_PER_USER


def test_the_last_role_is_made_by_one_of_many(server: Server, client: httpx.Client, root: Person) -> None:
    [(count,)] = rows(server.settings, "SELECT count(*) FROM roles")
    names = [f"filling-{number}" for number in range(MAX_ROLES - count - 1)]
    plant_roles(server, names)
    answers = at_once([partial(make, client, root, f"last-{number % 4}") for number in range(8)])
    assert [answer.status_code for answer in answers].count(201) == 1
    assert {answer.status_code for answer in answers} <= {201, 400, 403}
    assert rows(server.settings, "SELECT count(*) FROM roles") == [(MAX_ROLES,)]
    write(
        server.settings, lambda connection: connection.exec_driver_sql("DELETE FROM roles WHERE name LIKE 'filling-%'")
    )


def test_a_role_is_deleted_or_given_never_both(server: Server, client: httpx.Client, root: Person) -> None:
    for number in range(ROUNDS):
        name, people = f"contested-{number}", [sign_up(client) for _ in range(3)]
        plant_role(server, name)
        calls = [partial(give, client, root, person.id, name) for person in people]
        deleted, *given = at_once([partial(remove, client, root, name), *calls])
        if deleted.status_code == 204:
            assert {answer.status_code for answer in given} == {404}
            assert rows(server.settings, "SELECT count(*) FROM user_roles WHERE role = ?", name) == [(0,)]
        else:
            assert (deleted.status_code, deleted.json()["code"]) == (403, "role_in_use")
            held = [names_of(client, root, person.id) == [name] for person in people]
            assert held == [answer.status_code == 204 for answer in given]
            assert any(held)


def test_changes_at_once_leave_one_of_them_whole(server: Server, client: httpx.Client, root: Person) -> None:
    plant_role(server, "moving")
    wanted = [["users:read"], ["users:write", "users:delete"], ["audit:read"]]
    calls = [partial(change, client, root, "moving", permissions=given, description=given[0]) for given in wanted * 2]
    assert {answer.status_code for answer in at_once(calls)} == {200}
    role = client.get("/roles/moving", headers=root.auth).json()
    assert role["permissions"] in wanted
    assert role["description"] == role["permissions"][0]


@pytest.mark.rule("AD-4")
@pytest.mark.parametrize("way", ["role taken", "role changed", "demoted"])
def test_who_lost_his_rights_gives_nothing_any_more(
    server: Server, client: httpx.Client, root: Person, way: str
) -> None:
    """Whatever was answered before the loss may stand; nothing is given after the loss was answered."""
    name = f"spread-{way.replace(' ', '-')}"
    plant_role(server, name, "users:read")
    for _ in range(ROUNDS):
        lose: Callable[[], object]
        if way == "demoted":
            granter = superuser(server, client)
            lose = partial(_demote, server, granter)
        else:
            granter = holder(server, client, "roles:write", "users:read")
            own = f"of-{granter.id}"
            lose = partial(take, client, root, granter.id, own)
            if way == "role changed":
                lose = partial(change, client, root, own, permissions=["users:read"])
        people = [sign_up(client) for _ in range(4)]
        calls: list[Callable[[], object]] = [partial(give, client, granter, person.id, name) for person in people]
        *given, _ = at_once([*calls, lose])
        for person, answer in zip(people, given, strict=True):
            assert isinstance(answer, httpx.Response)
            assert answer.status_code in {204, 403}, answer.text
            assert names_of(client, root, person.id) == ([name] if answer.status_code == 204 else [])
        late = sign_up(client)
        assert give(client, granter, late.id, name).status_code == 403
        assert names_of(client, root, late.id) == []


def _demote(server: Server, person: Person) -> None:
    write(server.settings, set_superuser, person.id, is_superuser=False, origin=OPERATOR, now=server.clock.now())


@pytest.mark.rule("AD-4")
def test_two_who_take_the_right_from_each_other_leave_one_or_none(
    server: Server, client: httpx.Client, root: Person
) -> None:
    for _ in range(ROUNDS):
        some, others = (holder(server, client, "roles:write") for _ in range(2))
        answers = at_once(
            [
                partial(take, client, some, others.id, f"of-{others.id}"),
                partial(take, client, others, some.id, f"of-{some.id}"),
            ]
        )
        assert sorted(answer.status_code for answer in answers) == [204, 403]
        left = [names_of(client, root, person.id) for person in (some, others)]
        assert sorted(map(len, left)) == [0, 1]
