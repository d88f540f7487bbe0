"""`ostiary keys …`, and what a running server makes of it."""

import time
from typing import Any

import httpx
import pytest
from joserfc.jws import extract_compact

from tests.cli.command import Installation
from tests.conftest import MakeServer
from tests.people import log_in, refresh, sign_up
from tests.server import Server

PATIENCE_SECONDS = 20


def states(place: Installation) -> dict[str, str]:
    return {key["kid"]: key["state"] for key in place.run("keys", "list", "--json").json}


def begin(place: Installation) -> str:
    """Make an installation and its first key, which signs at once since no other does."""
    place.make()
    return rotate(place)


def rotate(place: Installation, *options: str) -> str:
    return str(place.run("keys", "rotate", "--json", *options).json["kid"])


def kid_of(access_token: str) -> str:
    return str(extract_compact(access_token.encode()).headers()["kid"])


def published(client: httpx.Client) -> set[str]:
    answer = client.get(str(client.base_url.copy_with(path="/.well-known/jwks.json")))
    return {key["kid"] for key in answer.json()["keys"]}


def wait_until_published(client: httpx.Client, kids: set[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while published(client) != kids:
        assert time.monotonic() < deadline, "the server did not read its keys again"
        time.sleep(0.02)


def served_place(server: Server) -> Installation:
    return Installation(server.settings.data_dir, server.settings.database_url)


@pytest.mark.rule("SK-4")
def test_rotation_publishes_and_schedules(place: Installation) -> None:
    first = begin(place)
    rotated = place.run("keys", "rotate", "--json").json
    assert list(rotated) == ["kid", "algorithm", "state", "created_at", "activates_at", "revoked_at"]
    assert (rotated["algorithm"], rotated["revoked_at"]) == ("ES256", None)
    assert rotated["activates_at"][:10] > rotated["created_at"][:10]
    assert states(place) == {first: "signing", rotated["kid"]: "published"}
    at_once = rotate(place, "--now")
    assert states(place) == {first: "checking", rotated["kid"]: "published", at_once: "signing"}


@pytest.mark.rule("SK-4")
def test_revoked_signer_has_a_fresh_successor(place: Installation) -> None:
    """And not the key before it, which may have leaked in the same way."""
    first = begin(place)
    second = rotate(place, "--now")
    said = place.run("keys", "revoke", second, "--yes").out
    after = states(place)
    assert after.pop(second) == "revoked"
    assert after.pop(first) == "checking"
    [(third, state)] = after.items()
    assert state == "signing"
    assert said == f"Key {second} is revoked. Key {third} signs from now on.\n"


@pytest.mark.rule("SK-4")
def test_revoking_another_key_leaves_the_signer(place: Installation) -> None:
    first = begin(place)
    waiting = rotate(place)
    assert place.run("keys", "revoke", waiting, "--yes").out == f"Key {waiting} is revoked.\n"
    assert place.run("keys", "revoke", waiting, "--yes").code == 0, "what is done already is no mistake"
    assert states(place) == {first: "signing", waiting: "revoked"}


def test_unknown_key_is_one_line(here: Installation) -> None:
    here.make()
    refused = here.run("keys", "revoke", "no-such-key", "--yes")
    assert (refused.code, refused.line) == (1, "There is no signing key no-such-key")
    assert here.run("keys", "revoke", "no-such-key").code == 2, "nobody can be asked"


def test_keys_are_listed_for_people(here: Installation) -> None:
    begin(here)
    kid = rotate(here)
    lines = here.run("keys", "list").out.splitlines()
    assert lines[-1].split()[:3] == [kid, "ES256", "published"]
    assert here.run("keys", "rotate").out.startswith("Key ")


def test_algorithm_of_a_new_key_is_the_setting(here: Installation) -> None:
    here.make()
    other = Installation(here.data_dir, environment={"OSTIARY_SIGNING_ALGORITHM": "EdDSA"})
    assert other.run("keys", "rotate", "--now", "--json").json["algorithm"] == "EdDSA"


@pytest.mark.rule("SK-4", "TK-6")
def test_rotation_reaches_a_running_server(make_server: MakeServer) -> None:
    server = make_server()
    place = served_place(server)
    with server.client() as client:
        person = log_in(client, sign_up(client))
        [first] = published(client)
        tomorrow, at_once = rotate(place), rotate(place, "--now")
        wait_until_published(client, {first, tomorrow, at_once})
        server.clock.advance(minutes=1)  # past the moment that the command read from the machine's clock
        again = log_in(client, person)
        assert [kid_of(token) for token in (person.access_token, again.access_token)] == [first, at_once]
        for token_holder in (person, again):
            assert client.get("/users/1", headers=token_holder.auth).status_code == 200
        server.clock.advance(hours=25)
        assert kid_of(log_in(client, person).access_token) == tomorrow


@pytest.mark.rule("SK-4", "TK-6")
def test_revoked_key_is_refused_by_a_running_server(make_server: MakeServer) -> None:
    server = make_server()
    place = served_place(server)
    with server.client() as client:
        person = log_in(client, sign_up(client))
        assert client.get("/users/1", headers=person.auth).status_code == 200
        [leaked] = published(client)
        assert place.run("keys", "revoke", leaked, "--yes").code == 0
        successors = states(place).keys() - {leaked}
        wait_until_published(client, set(successors))
        assert client.get("/users/1", headers=person.auth).status_code == 401
        renewed: dict[str, Any] = refresh(client, person.refresh_token).json()
        assert kid_of(renewed["access_token"]) in successors
        answer = client.get("/users/1", headers={"Authorization": f"Bearer {renewed['access_token']}"})
        assert answer.status_code == 200
