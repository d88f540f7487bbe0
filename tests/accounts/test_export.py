"""GET /users/me/export: everything that is kept of somebody, for himself, and nothing of anybody else."""

import json
from typing import Any

import httpx
import pytest

import ostiary.transfer.models  # noqa: F401 - a table that only the command line knows
from ostiary.accounts import export
from ostiary.app import ENDPOINTS
from ostiary.db.types import metadata
from tests.login.inside import promote, stored_hash
from tests.people import Person, log_in, refresh, signed_in
from tests.server import Server
from tests.sessions.answers import session_of, tokens_in

WHERE = {
    "users": "user",
    "profiles": "profile",
    "passwords": "password",
    "user_roles": "roles",
    "email_changes": "email_change",
    "sessions": "sessions",
    "api_keys": "api_keys",
    "known_places": "known_networks",
    "mail_outbox": "waiting_mails",
    "audit_log": "events",
}
"""In which part of the document each table about users is."""
NOT_KEPT_OF_ONE = {
    "login_throttles": "numbers, and where strangers tried from, for an hour",
    "audit_erasures": "only of users who are gone",
    "mail_requests": "addresses that somebody named, until the mail is in the outbox",
    "one_time_tokens": "hashes, for as long as a link lives",
    "invitations": "of others, whom he invited, for a week",
}


def exported(client: httpx.Client, person: Person) -> dict[str, Any]:
    answer = client.get("/users/me/export", headers=person.auth)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


@pytest.mark.rule("LA-4", "AD-5")
def test_the_document_holds_what_is_kept_and_no_secret(server: Server) -> None:
    with server.client(headers={"User-Agent": "Fernrohr"}) as api:
        person = signed_in(api)
        other = log_in(api, person)
        tokens = tokens_in(refresh(api, other.refresh_token))
        api.post("/auth/logout", headers=other.auth)
        api.patch("/users/me/profile", headers=person.auth, json={"language": "de", "metadata": {"pet": "owl"}})
        assert exported(api, person)["email_change"] is None
        assert api.post("/users/me/email", headers=person.auth, json={"new_email": "n@example.com"}).status_code == 202
        key = api.post("/api-keys", headers=person.auth, json={"name": "nightly", "scopes": []}).json()
        document = exported(api, person)
    assert list(document) == ["exported_at", *export.PARTS, "cut_off"]
    assert document["user"] == person.user
    assert document["profile"]["language"] == "de"
    assert document["profile"]["metadata"] == {"pet": "owl"}
    assert document["email_change"] == {"new_email": "n@example.com", "asked_at": server.clock.now().isoformat()[:19]}
    assert document["password"]["set_at"] == server.clock.now().isoformat()[:19]
    assert {item["id"]: item["ended_because"] for item in document["sessions"]} == {
        session_of(person): None,
        session_of(other): "logged_out",
    }
    assert {item["user_agent"] for item in document["sessions"]} == {"Fernrohr"}
    assert [item["name"] for item in document["api_keys"]] == ["nightly"]
    assert [item["network"] for item in document["known_networks"]] == ["127.0.0.0/24"]
    events = {item["event"] for item in document["events"]}
    assert {"user_signed_up", "login_succeeded", "logged_out"} <= events
    assert document["cut_off"] == []
    text = json.dumps(document)
    for secret in (key["key"], stored_hash(server, person), *tokens, "argon2", person.password):
        assert secret not in text


@pytest.mark.rule("AD-3", "LA-4")
def test_where_an_administrator_was_is_his_own_affair(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    with server.client(headers={"User-Agent": "Amtsstube"}) as api:
        boss = signed_in(api)
        promote(server, boss)
        renamed = api.patch(f"/users/{person.id}", headers=boss.auth, json={"username": f"{person.user['username']}-2"})
        assert renamed.status_code == 200, renamed.text
        own = exported(api, boss)
    told = exported(client, person)
    [event] = [item for item in told["events"] if item["event"] == "user_renamed"]
    assert (event["actor"], event["ip"], event["user_agent"]) == (boss.id, None, None)
    [event] = [item for item in own["events"] if item["event"] == "user_renamed"]
    assert (event["target"], event["ip"], event["user_agent"]) == (person.id, "127.0.0.1", "Amtsstube")
    assert "Amtsstube" not in json.dumps(told)
    assert person.email not in json.dumps(own)


@pytest.mark.any_engine
def test_of_a_list_that_is_too_long_the_newest_are_there(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST_IN_A_LIST", 3)
    person = signed_in(client)
    sessions = [log_in(client, person) for _ in range(3)]
    document = exported(client, person)
    assert document["cut_off"] == ["sessions", "events"]
    assert len(document["sessions"]) == len(document["events"]) == 3
    assert len(exported(client, sessions[0])["api_keys"]) == 0


def test_every_table_that_names_a_user_is_in_a_part_or_said_not_to_be() -> None:
    """Whoever adds a table decides here whether it is in the document."""
    assert ENDPOINTS
    about = {
        table.name
        for table in metadata.sorted_tables
        if {"user_id", "actor_id", "invited_by", "email", "email_key"} & set(table.columns.keys())
    }
    assert about <= WHERE.keys() | NOT_KEPT_OF_ONE.keys()
    assert set(WHERE.values()) == export.PARTS.keys()
