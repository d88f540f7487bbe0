"""POST, GET and DELETE /api-keys: what is made, shown, kept and removed."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from ostiary.api_keys.ending import purge_keys
from ostiary.api_keys.format import new_key
from ostiary.api_keys.making import MAX_KEYS_PER_USER, add_key, make_own_key, wanted_key
from ostiary.api_keys.models import APIKey
from ostiary.audit.origin import OPERATOR
from ostiary.problems import InvalidCredentials
from ostiary.sessions.ending import end_session
from ostiary.users.accounts import set_superuser
from ostiary.users.schemas import timestamp
from ostiary.web.permissions import NO_RIGHTS, PERMISSIONS
from tests.api_keys.keys import fill, made_key
from tests.audit.inside import Recorded, recorded
from tests.mails import told
from tests.people import Person, bearer, signed_in
from tests.server import Server
from tests.sessions.answers import session_of
from tests.sessions.beside import rows, write
from tests.users.asking import NOT_FOUND, detail_of

LISTED = ["id", "name", "scopes", "created_at", "expires_at", "last_used_at"]
MADE = ["id", "name", "scopes", "created_at", "expires_at", "key"]


def listed(client: httpx.Client, person: Person, **query: Any) -> dict[str, Any]:
    answer = client.get("/api-keys", headers=person.auth, params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert list(body) == ["items", "total", "skip", "limit"]
    return body


def later(server: Server, **span: float) -> str:
    return timestamp(server.clock.now() + timedelta(**span))


@pytest.mark.rule("AK-1")
def test_a_key_is_shown_once_and_kept_as_a_hash(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    made = made_key(client, person, name="nightly export 🔑")
    assert list(made) == MADE
    assert made["created_at"] == timestamp(server.clock.now())
    assert made["expires_at"] == later(server, days=90)
    expected = {name: value for name, value in made.items() if name != "key"} | {"last_used_at": None}
    page = listed(client, person)
    assert page == {"items": [expected], "total": 1, "skip": 0, "limit": 10}
    assert list(page["items"][0]) == LISTED
    [(user_id, key_hash, *others)] = rows(
        server.settings, "SELECT user_id, key_hash, id, name, scopes FROM api_keys WHERE id = ?", made["id"]
    )
    assert (user_id, key_hash) == (person.id, hashlib.sha256(made["key"].encode()).digest())
    assert others == [made["id"], "nightly export 🔑", ""]


def test_keys_are_listed_the_newest_first_a_page_at_a_time(moving_server: Server) -> None:
    with moving_server.client() as client:
        person = signed_in(client)
        ids: list[str] = []
        for number in range(3):
            ids.insert(0, made_key(client, person, name=f"key {number}")["id"])
            moving_server.clock.advance(seconds=1)
        assert [key["id"] for key in listed(client, person)["items"]] == ids
        page = listed(client, person, skip=1, limit=1)
        assert ([key["id"] for key in page["items"]], page["total"]) == (ids[1:2], 3)
        assert listed(client, person, skip=3)["items"] == []
        assert listed(client, signed_in(client))["items"] == []


@pytest.mark.rule("TK-6", "TK-7")
def test_a_revoked_key_is_worth_nothing_at_once(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    kept, revoked = made_key(client, person), made_key(client, person)
    answer = client.delete(f"/api-keys/{revoked['id']}", headers=person.auth)
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get("/users", headers=bearer(revoked["key"])).status_code == 401
    assert client.get("/users", headers=bearer(kept["key"])).status_code == 200
    assert [key["id"] for key in listed(client, person)["items"]] == [kept["id"]]
    assert rows(server.settings, "SELECT id FROM api_keys WHERE id = ?", revoked["id"]) == []
    again = client.delete(f"/api-keys/{revoked['id']}", headers=person.auth)
    assert (again.status_code, again.json()) == (404, NOT_FOUND)


@pytest.mark.rule("AD-3", "AD-6")
def test_nobody_touches_another_users_key(client: httpx.Client) -> None:
    owner, other = signed_in(client), signed_in(client)
    made = made_key(client, owner)
    answer = client.delete(f"/api-keys/{made['id']}", headers=other.auth)
    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    assert listed(client, other)["items"] == []
    assert client.get("/users", headers=bearer(made["key"])).status_code == 200


@pytest.mark.rule("AK-1", "SU-2")
def test_the_owner_is_whoever_asks_and_never_what_the_body_says(server: Server, client: httpx.Client) -> None:
    person, victim = signed_in(client), signed_in(client)
    chosen: dict[str, Any] = {
        "id": "x",
        "user_id": victim.id,
        "owner": victim.id,
        "key": new_key().plain,
        "created_at": "2020-01-01",
    }
    made = made_key(client, person, **chosen)
    assert rows(server.settings, "SELECT user_id FROM api_keys WHERE id = ?", made["id"]) == [(person.id,)]
    assert made["id"] != "x"
    assert client.get(f"/users/{person.id}", headers=bearer(made["key"])).json()["id"] == person.id


@pytest.mark.any_engine
@pytest.mark.rule("AK-1")
@pytest.mark.parametrize(
    ("expires", "accepted"),
    [
        ({"days": 365}, True),
        ({"seconds": 1}, True),
        ({"days": 365, "seconds": 1}, False),
        ({"seconds": 0}, False),
        ({"days": -1}, False),
    ],
)
def test_a_key_lives_a_year_at_most(
    server: Server, client: httpx.Client, expires: dict[str, float], *, accepted: bool
) -> None:
    person, text = signed_in(client), later(server, **expires)
    for written in (text, f"{text}Z"):
        answer = client.post("/api-keys", json={"name": "x", "expires_at": written}, headers=person.auth)
        if accepted:
            assert (answer.status_code, answer.json()["expires_at"]) == (201, text)
        else:
            assert "expires_at" in detail_of(answer, 400)


BAD: dict[str, dict[str, Any]] = {
    "no name": {"name": None},
    "a name that is no string": {"name": 1},
    "an empty name": {"name": ""},
    "a blank name": {"name": "  "},
    "a name with spaces around it": {"name": " x"},
    "a long name": {"name": "x" * 65},
    "a name of two lines": {"name": "x\ny"},
    "a name that turns what follows around": {"name": "x\u202ey"},
    "a name with an escape": {"name": "\x1b[31m"},
    "scopes that are no list": {"scopes": "users:read"},
    "scopes that are null": {"scopes": None},
    "a scope that is no string": {"scopes": [1]},
    "a scope nobody knows": {"scopes": ["users:fly"]},
    "every scope": {"scopes": ["*"]},
    "a scope in capitals": {"scopes": ["USERS:READ"]},
    "two scopes in one": {"scopes": ["users:read users:write"]},
    "too many scopes": {"scopes": ["users:read"] * 33},
    "an end that is a number": {"expires_at": 1893456000},
    "an end that is no moment": {"expires_at": "2026-02-30T00:00:00"},
    "an end without a time": {"expires_at": "2030-01-01"},
    "an end in another zone": {"expires_at": "2030-01-01T00:00:00+02:00"},
    "an end with a fraction": {"expires_at": "2030-01-01T00:00:00.5"},
    "an end beyond all": {"expires_at": "9999-12-31T23:59:59"},
    "an end in other digits": {"expires_at": "٢٠٣٠-01-01T00:00:00"},
}


@pytest.mark.any_engine
@pytest.mark.rule("IN-1", "SU-2")
@pytest.mark.parametrize("bad", BAD)
def test_bad_wishes_are_refused(server: Server, client: httpx.Client, bad: str) -> None:
    person = signed_in(client)
    detail_of(client.post("/api-keys", json={"name": "x", "scopes": []} | BAD[bad], headers=person.auth), 400)
    assert rows(server.settings, "SELECT id FROM api_keys WHERE user_id = ?", person.id) == []


@pytest.mark.any_engine
@pytest.mark.parametrize(
    "query", ["skip=-1", "skip=x", "limit=0", "limit=101", "limit=1&limit=2", "skip=9999999999999999"]
)
def test_bad_pages_are_refused(client: httpx.Client, query: str) -> None:
    detail_of(client.get(f"/api-keys?{query}", headers=signed_in(client).auth), 400)


def test_what_is_no_key_is_not_found(client: httpx.Client) -> None:
    person = signed_in(client)
    for key_id in ("x", "%00", "%ff", "..", "x" * 5000, "1", "x" * 22):
        detail_of(client.delete(f"/api-keys/{key_id}", headers=person.auth), 404)


@pytest.mark.any_engine
@pytest.mark.rule("AK-1", "AD-4")
def test_a_scope_must_be_held(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    for scope in PERMISSIONS:
        answer = client.post("/api-keys", json={"name": "x", "scopes": [scope]}, headers=person.auth)
        detail_of(answer, 403, code="scope_not_held")
    write(server.settings, set_superuser, person.id, is_superuser=True, origin=OPERATOR, now=server.clock.now())
    made = made_key(client, person, scopes=[*reversed(PERMISSIONS), *PERMISSIONS])
    assert made["scopes"] == list(PERMISSIONS)
    assert listed(client, person)["items"][0]["scopes"] == list(PERMISSIONS)


@pytest.mark.any_engine
@pytest.mark.rule("AK-1")
def test_nobody_has_more_than_a_hundred_and_expired_ones_give_way(moving_server: Server) -> None:
    with moving_server.client() as client:
        person = signed_in(client)
        fill(moving_server, person, MAX_KEYS_PER_USER - 1, days=1)
        made_key(client, person)
        answer = client.post("/api-keys", json={"name": "x"}, headers=person.auth)
        detail_of(answer, 403, code="too_many_api_keys")
        assert listed(client, person)["total"] == MAX_KEYS_PER_USER
        assert client.post("/api-keys", json={"name": "x"}, headers=signed_in(client).auth).status_code == 201
        moving_server.clock.advance(minutes=14)
        fill(moving_server, signed_in(client), 1, days=1)
        now = moving_server.clock.now() + timedelta(days=1)
        wanted = wanted_key("x", [], None, now=now)
        write(moving_server.settings, add_key, person.id, new_key(), wanted, origin=OPERATOR, now=now)
        assert listed(client, person)["total"] == 2


def test_keys_are_cleared_away_a_week_after_their_end(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    short, long = made_key(client, person, expires_at=later(server, hours=1)), made_key(client, person)

    def purge(moment: datetime) -> int:
        return write(server.settings, purge_keys, before=moment, limit=100)

    purge(server.clock.now() + timedelta(hours=1))
    assert {key["id"] for key in listed(client, person)["items"]} == {short["id"], long["id"]}
    assert purge(server.clock.now() + timedelta(hours=1, seconds=1)) == 1
    assert {key["id"] for key in listed(client, person)["items"]} == {long["id"]}


@pytest.mark.any_engine
def test_the_owner_is_told_of_every_new_key(server: Server, client: httpx.Client) -> None:
    owner = signed_in(client)
    made_key(client, owner, name="a telling name")
    assert client.post("/api-keys", json={"name": "x", "scopes": ["users:read"]}, headers=owner.auth).status_code == 403
    assert told(server.settings, owner.email).count("api_key_made") == 1


@pytest.mark.rule("AD-6")
def test_every_key_and_its_end_are_recorded_without_a_name(server: Server, client: httpx.Client) -> None:
    owner = signed_in(client)
    made = made_key(client, owner, name="a telling name")
    assert client.post("/api-keys", json={"name": "x", "scopes": ["users:read"]}, headers=owner.auth).status_code == 403
    assert client.delete(f"/api-keys/{made['id']}", headers=owner.auth).status_code == 204
    assert client.delete(f"/api-keys/{made['id']}", headers=owner.auth).status_code == 404
    ours = [row for row in recorded(server.settings, about=owner.id) if "api_key" in row.event]
    assert sorted(ours, key=lambda row: row.event) == [
        Recorded("api_key_created", owner.id, owner.id, {"key": made["id"], "scopes": []}),
        Recorded("api_key_revoked", owner.id, owner.id, {"key": made["id"]}),
    ]


@pytest.mark.rule("D1", "TK-6")
def test_making_a_key_asks_the_gate_when_it_completes(server: Server, client: httpx.Client) -> None:
    """Whoever was let in, and then was signed out before the key is written, gets none."""

    def make(person: Person, session_id: str) -> APIKey:
        now = server.clock.now()
        wanted = wanted_key("x", [], None, now=now)
        return write(
            server.settings, make_own_key, person.id, new_key(), wanted,
            session_id=session_id, rights=NO_RIGHTS, demands=server.app.demands, sealer=server.app.sealer,
            origin=OPERATOR, now=now,
        )  # fmt: skip

    person, other = signed_in(client), signed_in(client)
    assert make(person, session_of(person)).user_id == person.id
    for session_id in (session_of(other), "nobody's", ""):
        with pytest.raises(InvalidCredentials):
            make(person, session_id)
    write(server.settings, end_session, session_of(person), because="test", now=server.clock.now())
    with pytest.raises(InvalidCredentials):
        make(person, session_of(person))
    assert rows(server.settings, "SELECT count(*) FROM api_keys WHERE user_id = ?", person.id) == [(1,)]
