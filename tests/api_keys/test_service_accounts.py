"""Service accounts: programs with an account of their own, by which nobody gets to what he may not do himself."""

import secrets
from dataclasses import dataclass

import httpx
import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.credentials.models import password_of
from ostiary.login.deactivation import deactivate_user
from ostiary.users.accounts import delete_user
from tests.api_keys.keys import made_account, made_key
from tests.audit.inside import Recorded, recorded
from tests.login.inside import promote
from tests.people import PASSWORD, Person, bearer, newcomer, signed_in
from tests.roles.planted import plant_holder, plant_role, take_role
from tests.server import Server
from tests.sessions.answers import assert_refused, at_once
from tests.sessions.beside import rows, write
from tests.users.asking import MEMBERS, detail_of


@dataclass
class House:
    """Somebody who may make keys and read users, a superuser, and roles that give less and more than the first has."""

    server: Server
    client: httpx.Client
    keeper: Person
    superuser: Person
    less: str
    more: str


@pytest.fixture
def house(server: Server, client: httpx.Client) -> House:
    tag = secrets.token_hex(4)
    keeper, superuser = signed_in(client), signed_in(client)
    promote(server, superuser)
    plant_role(server, f"keeper-{tag}", "keys:write", "users:read")
    plant_role(server, f"less-{tag}", "users:read")
    plant_role(server, f"more-{tag}", "users:read", "users:write")
    plant_holder(server, keeper.id, f"keeper-{tag}")
    return House(server, client, keeper, superuser, f"less-{tag}", f"more-{tag}")


@pytest.mark.rule("AK-1", "AD-4")
def test_a_program_gets_an_account_and_a_key(house: House) -> None:
    client, name = house.client, newcomer()["username"]
    body = {"username": name, "roles": [house.less, house.less], "password": PASSWORD, "is_superuser": True}
    answer = client.post("/service-accounts", json=body, headers=house.keeper.auth)
    assert answer.status_code == 201, answer.text
    user = answer.json()
    assert list(user) == MEMBERS
    assert (user["email"], user["username"]) == (f"{name}@service.invalid", name)
    assert (user["is_active"], user["is_superuser"]) == (True, False)
    made = made_key(client, house.keeper, account=user["id"], scopes=["users:read"])
    auth = bearer(made["key"])
    assert client.get("/users/me", headers=auth).json() == user
    assert client.get(f"/users/{house.keeper.id}", headers=auth).status_code == 200
    path = f"/service-accounts/{user['id']}/api-keys"
    [listed] = client.get(path, headers=house.keeper.auth).json()["items"]
    assert listed["id"] == made["id"]
    assert client.delete(f"{path}/{made['id']}", headers=house.keeper.auth).status_code == 204
    assert_refused(client.get("/users/me", headers=auth))
    detail_of(client.delete(f"{path}/{made['id']}", headers=house.keeper.auth), 404)
    by = house.keeper.id
    assert sorted(recorded(house.server.settings, about=user["id"]), key=lambda row: row.event) == [
        Recorded("api_key_created", by, user["id"], {"key": made["id"], "scopes": ["users:read"]}),
        Recorded("api_key_revoked", by, user["id"], {"key": made["id"]}),
        Recorded("role_granted", by, user["id"], {"role": house.less}),
        Recorded("service_account_created", by, user["id"], {}),
    ]


@pytest.mark.rule("LA-1")
def test_what_a_program_does_is_recorded_with_its_key(house: House) -> None:
    made = made_key(house.client, house.keeper, scopes=["keys:write"])
    body = {"username": newcomer()["username"]}
    answer = house.client.post("/service-accounts", json=body, headers=bearer(made["key"]))
    assert answer.status_code == 201, answer.text
    [row] = recorded(house.server.settings, about=answer.json()["id"])
    assert row == Recorded("service_account_created", house.keeper.id, answer.json()["id"], {"api_key": made["id"]})


@pytest.mark.rule("AK-1", "PW-6")
def test_nobody_logs_in_to_a_program(house: House) -> None:
    client, account = house.client, made_account(house.client, house.keeper)
    [(email,)] = rows(house.server.settings, "SELECT email FROM users WHERE id = ?", account)
    for password in ("", PASSWORD, "None"):
        assert_refused(client.post("/auth/login", json={"email": email, "password": password}))
    assert write(house.server.settings, password_of, account) is None
    detail_of(client.post("/users", json=newcomer(email="somebody@service.invalid")), 400)
    auth = bearer(made_key(client, house.keeper, account=account)["key"])
    detail_of(client.post("/api-keys", json={"name": "x"}, headers=auth), 403, code="session_required")


@pytest.mark.rule("AD-4")
def test_nobody_makes_a_program_that_may_do_more_than_he(house: House) -> None:
    client, before = house.client, recorded(house.server.settings)
    body = newcomer()
    answer = client.post(
        "/service-accounts", json=body | {"roles": [house.less, house.more]}, headers=house.keeper.auth
    )
    detail_of(answer, 403, code="rights_exceeded")
    kept = rows(house.server.settings, "SELECT id FROM users WHERE username = ?", body["username"])
    assert kept == [], "all of it or nothing"
    new = {row.event for row in recorded(house.server.settings) if row not in before}
    assert new <= {"access_refused"}  # which is written a moment later


@pytest.mark.rule("AD-4")
def test_nobody_takes_the_keys_of_a_program_that_may_do_more_than_he(house: House) -> None:
    client, account = house.client, made_account(house.client, house.superuser, house.more)
    path, body = f"/service-accounts/{account}/api-keys", {"name": "x", "scopes": []}
    made = made_key(client, house.superuser, account=account, scopes=["users:write"])
    detail_of(client.post(path, json=body, headers=house.keeper.auth), 403, code="rights_exceeded")
    detail_of(client.delete(f"{path}/{made['id']}", headers=house.keeper.auth), 403, code="rights_exceeded")
    assert client.get(path, headers=house.keeper.auth).json()["total"] == 1
    assert client.get("/users/me", headers=bearer(made["key"])).status_code == 200
    answer = client.post(path, json=body | {"scopes": ["roles:write"]}, headers=house.superuser.auth)
    detail_of(answer, 403, code="scope_not_held")
    take_role(house.server, account, house.more)
    assert client.post(path, json=body, headers=house.keeper.auth).status_code == 201


@pytest.mark.rule("AK-1", "AD-3")
def test_keys_are_made_for_programs_and_never_for_people(house: House) -> None:
    """Else whoever makes keys could act in the name of everybody."""
    client, victim = house.client, signed_in(house.client)
    own = made_key(client, victim)
    for who in (victim.id, house.keeper.id, 2**62, 0):
        path = f"/service-accounts/{who}/api-keys"
        for caller in (house.keeper, house.superuser):
            detail_of(client.post(path, json={"name": "x"}, headers=caller.auth), 404)
            detail_of(client.get(path, headers=caller.auth), 404)
            detail_of(client.delete(f"{path}/{own['id']}", headers=caller.auth), 404)
    account = made_account(client, house.keeper)
    detail_of(client.delete(f"/service-accounts/{account}/api-keys/{own['id']}", headers=house.keeper.auth), 404)
    assert client.get("/users/me", headers=bearer(own["key"])).status_code == 200


@pytest.mark.rule("TK-7", "D1")
def test_a_program_that_is_kept_out_has_no_keys_and_gets_none(house: House) -> None:
    client, settings = house.client, house.server.settings
    account, gone = made_account(client, house.keeper), made_account(client, house.keeper)
    auths = [bearer(made_key(client, house.keeper, account=owner)["key"]) for owner in (account, gone)]
    write(settings, deactivate_user, account, origin=OPERATOR, now=house.server.clock.now())
    write(settings, delete_user, gone, origin=OPERATOR, now=house.server.clock.now())
    for auth in auths:
        assert_refused(client.get("/users/me", headers=auth))
    path = f"/service-accounts/{account}/api-keys"
    detail_of(client.post(path, json={"name": "x"}, headers=house.keeper.auth), 403, code="user_deactivated")
    detail_of(client.get(f"/service-accounts/{gone}/api-keys", headers=house.keeper.auth), 404)
    assert rows(settings, "SELECT count(*) FROM api_keys WHERE user_id IN (?, ?)", account, gone) == [(0,)]


@pytest.mark.rule("AD-4", "TK-6")
def test_what_somebody_may_by_now_decides(house: House) -> None:
    """Rights are read again in the transaction: a role taken meanwhile is worth nothing any more."""
    client, account = house.client, made_account(house.client, house.keeper)

    def make() -> int:
        answer = client.post(f"/service-accounts/{account}/api-keys", json={"name": "x"}, headers=house.keeper.auth)
        return answer.status_code

    [(role,)] = rows(house.server.settings, "SELECT role FROM user_roles WHERE user_id = ?", house.keeper.id)

    def take() -> int:
        take_role(house.server, house.keeper.id, role)
        return make()

    statuses = at_once([make, make, take])
    assert statuses[2] == 403
    assert set(statuses[:2]) <= {201, 403}


BAD = {
    "no username": {},
    "a short username": {"username": "x"},
    "an address": {"username": "a@service.invalid"},
    "a dot at the end": {"username": "bot."},
    "two dots": {"username": "b..t"},
    "roles that are no list": {"username": "some-bot", "roles": "reader"},
    "a role that is no string": {"username": "some-bot", "roles": [1]},
    "a role that does not exist": {"username": "some-bot", "roles": ["no-such-role"]},
    "a role that cannot be": {"username": "some-bot", "roles": ["No Role"]},
}


@pytest.mark.any_engine
@pytest.mark.parametrize("bad", BAD)
def test_bad_accounts_are_refused(house: House, bad: str) -> None:
    answer = house.client.post("/service-accounts", json=BAD[bad], headers=house.keeper.auth)
    assert "code" not in answer.json()
    detail_of(answer, 400)
    assert rows(house.server.settings, "SELECT id FROM users WHERE username = 'some-bot'") == []


@pytest.mark.any_engine
def test_names_are_taken_once(house: House) -> None:
    client, person = house.client, house.keeper
    taken = {"username": person.user["username"].upper()}
    detail_of(client.post("/service-accounts", json=taken, headers=person.auth), 400, code="username_taken")
