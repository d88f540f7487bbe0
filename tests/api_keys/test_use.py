"""Calls with a key: who is recognised, what a key may do and what it may not (AK-1)."""

import re
import secrets
from datetime import timedelta

import httpx
import pytest

from ostiary.api_keys.format import checksum, new_key
from ostiary.app import ENDPOINTS
from ostiary.audit.origin import OPERATOR
from ostiary.login.deactivation import deactivate_user
from ostiary.users.accounts import set_active, set_superuser
from ostiary.users.schemas import timestamp
from ostiary.web.endpoint import Access, APIKeys, Endpoint
from ostiary.web.permissions import PERMISSIONS
from tests.api_keys.keys import made_key
from tests.conftest import MakeServer
from tests.people import Person, bearer, refresh, signed_in
from tests.roles.planted import plant_holder, plant_role, take_role
from tests.server import Server
from tests.sessions.answers import assert_refused, facts, tokens_in
from tests.sessions.beside import rows, write
from tests.sessions.waiting import wait_until
from tests.users.asking import NOT_FOUND, detail_of

SIGNED_IN = [endpoint for endpoint in ENDPOINTS if endpoint.access is not Access.PUBLIC]
IN_NEED_OF_A_SESSION = [endpoint for endpoint in SIGNED_IN if not endpoint.takes_api_keys]
TAKING_ANY_KEY = {("GET", "/api/v1/users"), ("GET", "/api/v1/users/{user_id}"), ("GET", "/api/v1/users/me")}


def named(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


@pytest.mark.rule("AK-1")
def test_a_key_without_scopes_reads_its_owner_and_nothing_else(server: Server, client: httpx.Client) -> None:
    """Though every signed-in user here sees every other."""
    owner, other = signed_in(client), signed_in(client)
    auth = bearer(made_key(client, owner)["key"])
    own = client.get(f"/users/{owner.id}", headers=auth)
    assert (own.status_code, own.json()) == (200, owner.user)
    assert client.get(f"/users/{other.id}", headers=owner.auth).status_code == 200
    hidden = client.get(f"/users/{other.id}", headers=auth)
    assert (hidden.status_code, hidden.json()) == (404, NOT_FOUND)
    assert client.get("/users", headers=auth).json() == {"items": [owner.user], "total": 1, "skip": 0, "limit": 10}
    write(server.settings, set_superuser, owner.id, is_superuser=True, origin=OPERATOR, now=server.clock.now())
    assert client.get(f"/users/{other.id}", headers=auth).status_code == 404, "whatever its owner may by now"


@pytest.mark.rule("AK-1", "AD-4")
def test_what_a_scope_is_worth_is_judged_at_each_use(server: Server, client: httpx.Client) -> None:
    owner, other = signed_in(client), signed_in(client)

    def promote(is_superuser: bool) -> None:  # noqa: FBT001 - said once, right below
        write(
            server.settings, set_superuser, owner.id, is_superuser=is_superuser, origin=OPERATOR, now=server.clock.now()
        )

    write(
        server.settings, set_superuser, other.id, is_superuser=True, origin=OPERATOR, now=server.clock.now()
    )  # one always is
    promote(True)  # noqa: FBT003
    auth = bearer(made_key(client, owner, scopes=["users:read"])["key"])
    assert client.get(f"/users/{other.id}", headers=auth).status_code == 200
    promote(False)  # noqa: FBT003
    assert client.get(f"/users/{other.id}", headers=auth).status_code == 404
    assert client.get(f"/users/{owner.id}", headers=auth).status_code == 200
    promote(True)  # noqa: FBT003
    assert client.get(f"/users/{other.id}", headers=auth).status_code == 200


@pytest.mark.rule("AK-1", "AD-4")
def test_a_key_does_what_both_its_scopes_and_its_owners_roles_permit(server: Server, client: httpx.Client) -> None:
    owner, tag = signed_in(client), secrets.token_hex(4)
    signed_in(client)
    plant_role(server, f"reader-{tag}", "users:read", "audit:read")
    plant_role(server, f"writer-{tag}", "keys:write")
    plant_holder(server, owner.id, f"reader-{tag}", f"writer-{tag}")
    detail_of(
        client.post("/api-keys", json={"name": "x", "scopes": ["roles:write"]}, headers=owner.auth),
        403,
        code="scope_not_held",
    )
    reads, audits = (bearer(made_key(client, owner, scopes=[name])["key"]) for name in ("users:read", "audit:read"))
    everybody = client.get("/users", headers=owner.auth).json()["total"]
    assert client.get("/users", headers=reads).json()["total"] == everybody > 1
    assert client.get("/users", headers=audits).json()["total"] == 1
    detail_of(client.get("/audit", headers=reads), 403, code="forbidden")
    assert client.get("/audit", headers=audits).status_code == 200
    take_role(server, owner.id, f"reader-{tag}")
    assert client.get("/users", headers=reads).json()["total"] == 1
    detail_of(client.get("/audit", headers=audits), 403, code="forbidden")


@pytest.mark.any_engine
@pytest.mark.rule("AK-1", "AD-2")
@pytest.mark.parametrize("endpoint", IN_NEED_OF_A_SESSION, ids=named)
def test_what_needs_a_session_refuses_every_key(all_scopes: str, client: httpx.Client, endpoint: Endpoint) -> None:
    path = re.sub(r"\{\w+\}", "1", endpoint.path)
    answer = client.request(endpoint.method, client.base_url.join(path), headers=bearer(all_scopes))
    detail_of(answer, 403, code="session_required")


@pytest.fixture(scope="module")
def all_scopes(server: Server) -> str:
    """A superuser's key, which may do all that a key can be allowed."""
    with server.client() as client:
        person = signed_in(client)
        write(server.settings, set_superuser, person.id, is_superuser=True, origin=OPERATOR, now=server.clock.now())
        return str(made_key(client, person, scopes=list(PERMISSIONS))["key"])


@pytest.mark.rule("AK-1", "AD-2")
def test_a_key_gets_no_further_than_somebody_said_it_may() -> None:
    """Any key only where it reads its owner; else one with the permission; nowhere one can be made."""
    for endpoint in SIGNED_IN:
        if endpoint.api_keys is APIKeys.READ_THEIR_OWNER:
            assert (endpoint.method, endpoint.path) in TAKING_ANY_KEY, named(endpoint)
        elif endpoint.takes_api_keys:
            assert endpoint.permission is not None, named(endpoint)
        if endpoint.method == "POST" and endpoint.path.endswith("/api-keys"):
            assert endpoint.api_keys is APIKeys.REFUSED, named(endpoint)
        if endpoint.access is not Access.SIGNED_IN:
            assert not endpoint.takes_api_keys, named(endpoint)


@pytest.mark.rule("AK-1", "TK-8", "SK-5", "D3")
def test_only_the_whole_key_is_one(client: httpx.Client) -> None:
    """The id of a live key with any other secret, though of the right form, is as good as nothing."""
    owner = signed_in(client)
    key, other = made_key(client, owner)["key"], made_key(client, owner)["key"]
    body = f"{key[:-49]}{other[-49:-6]}"
    for presented in (
        body + checksum(body),
        new_key().plain,
        key[:-1],
        f"{key}0",
        f"{key} x",
        key.replace("ost_", "OST_"),
        key.swapcase(),
        key.split("_")[1],
        key.removeprefix("ost_"),
        "ost_",
        f"{key}, {key}",
    ):
        assert_refused(client.get("/users", headers=bearer(presented)))
    for scheme in ("bearer", "BEARER", "Bearer  "):
        assert client.get("/users", headers={"Authorization": f"{scheme} {key}"}).status_code == 200
    assert_refused(client.get("/users", headers={"Authorization": f"Basic {key}"}))
    twice = [("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")]
    assert_refused(client.get("/users", headers=twice))
    assert client.get("/users", params={"access_token": key}).status_code == 401


@pytest.mark.rule("D3")
def test_no_refusal_of_a_key_can_be_told_from_another(server: Server, client: httpx.Client) -> None:
    owner, ended = signed_in(client), signed_in(client)
    revoked, key, left = made_key(client, owner), made_key(client, owner)["key"], made_key(client, ended)["key"]
    client.delete(f"/api-keys/{revoked['id']}", headers=owner.auth)
    write(server.settings, deactivate_user, ended.id, origin=OPERATOR, now=server.clock.now())
    body = f"{key[:-49]}{left[-49:-6]}"
    presented = [
        revoked["key"],
        left,
        new_key().plain,
        body + checksum(body),
        "ost_x",
        f"{key[:-1]}{'1' if key[-1] == '0' else '0'}",
        "x",
    ]
    seen = {str(facts(client.get("/users", headers=bearer(each)))) for each in presented}
    assert len(seen) == 1
    assert_refused(client.get("/users", headers=bearer(left)))


@pytest.mark.rule("TK-2", "AK-1")
def test_neither_a_token_is_a_key_nor_a_key_a_token(client: httpx.Client) -> None:
    owner = signed_in(client)
    key = made_key(client, owner)["key"]
    assert_refused(refresh(client, key))
    assert_refused(client.post("/auth/login", json={"email": owner.email, "password": key}))
    for token in (owner.access_token, owner.refresh_token):
        assert_refused(client.get("/users", headers=bearer(f"ost_{token}")))
    assert client.get("/users", headers=owner.auth).status_code == 200
    tokens_in(refresh(client, owner.refresh_token))


@pytest.mark.rule("AK-1", "TK-3")
def test_a_key_ends_to_the_second(moving_server: Server) -> None:
    with moving_server.client() as client:
        owner = signed_in(client)
        end = timestamp(moving_server.clock.now() + timedelta(days=2))
        auth = bearer(made_key(client, owner, expires_at=end)["key"])
        moving_server.clock.advance(days=1, hours=23, minutes=59, seconds=59)
        assert client.get("/users", headers=auth).status_code == 200
        moving_server.clock.advance(seconds=1)
        assert_refused(client.get("/users", headers=auth))


@pytest.mark.rule("AK-1")
def test_a_key_outlives_the_session_that_made_it(client: httpx.Client) -> None:
    owner = signed_in(client)
    key = made_key(client, owner)["key"]
    assert client.post("/auth/logout-all", headers=owner.auth).status_code == 204
    assert client.get("/users", headers=bearer(key)).status_code == 200


def last_used(server: Server, key_id: str) -> int | None:
    [(moment,)] = rows(server.settings, "SELECT last_used_at FROM api_keys WHERE id = ?", key_id)
    return None if moment is None else int(moment)


def test_the_last_use_is_kept_to_the_minute(moving_server: Server) -> None:
    with moving_server.client() as client:
        owner: Person = signed_in(client)
        made = made_key(client, owner)
        auth = bearer(made["key"])
        client.get("/users", headers=auth)
        wait_until(lambda: last_used(moving_server, made["id"]) is not None)
        first = last_used(moving_server, made["id"])
        shown = client.get("/api-keys", headers=owner.auth).json()["items"][0]["last_used_at"]
        assert shown == timestamp(moving_server.clock.now())
        moving_server.clock.advance(seconds=59)
        client.get("/users", headers=auth)
        assert moving_server.app.key_uses.take() == {}
        moving_server.clock.advance(seconds=1)
        client.get("/users", headers=auth)
        wait_until(lambda: last_used(moving_server, made["id"]) == (first or 0) + 60_000)
        assert_refused(client.get("/users", headers=bearer(f"{made['key'][:-1]}")))


@pytest.mark.rule("TK-7")
def test_keys_of_somebody_who_is_kept_out_end_for_good(server: Server, client: httpx.Client) -> None:
    owner = signed_in(client)
    auth = bearer(made_key(client, owner)["key"])
    write(server.settings, deactivate_user, owner.id, origin=OPERATOR, now=server.clock.now())
    assert_refused(client.get("/users", headers=auth))
    assert rows(server.settings, "SELECT id FROM api_keys WHERE user_id = ?", owner.id) == []
    write(server.settings, set_active, owner.id, is_active=True, origin=OPERATOR, now=server.clock.now())
    assert_refused(client.get("/users", headers=auth))


@pytest.mark.any_engine
@pytest.mark.rule("RL-1")
def test_keys_and_sessions_count_together_for_each_user(make_server: MakeServer) -> None:
    server = make_server(rate_limit="on", rate_limit_per_address="1000/hour", rate_limit_per_user="6/hour")
    with server.client() as client:
        owner, other = signed_in(client), signed_in(client)
        keys = [made_key(client, owner)["key"] for _ in range(2)]
        auths = [owner.auth, bearer(keys[0]), bearer(keys[1]), owner.auth, bearer(keys[0]), bearer(keys[1])]
        assert [client.get("/users", headers=auth).status_code for auth in auths] == [200] * 4 + [429] * 2
        assert client.get("/users", headers=other.auth).status_code == 200
        assert '"user";r=0' in client.get("/users", headers=auths[1]).headers["ratelimit"]
