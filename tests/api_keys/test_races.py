"""Keys made, revoked and used at the same moment."""

import httpx
import pytest

from ostiary.api_keys.making import MAX_KEYS_PER_USER
from ostiary.audit.origin import OPERATOR
from ostiary.login.deactivation import deactivate_user
from tests.api_keys.keys import fill, made_key
from tests.people import Person, bearer, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused, at_once
from tests.sessions.beside import rows, write


@pytest.mark.rule("AK-1")
def test_the_last_place_is_given_to_one_of_many(server: Server, client: httpx.Client) -> None:
    owner = signed_in(client)
    fill(server, owner, MAX_KEYS_PER_USER - 1, days=1)

    def make() -> httpx.Response:
        return client.post("/api-keys", json={"name": "x"}, headers=owner.auth)

    assert sorted(answer.status_code for answer in at_once([make] * 6)) == [201, *[403] * 5]
    kept = rows(server.settings, "SELECT count(*) FROM api_keys WHERE user_id = ?", owner.id)
    assert kept == [(MAX_KEYS_PER_USER,)]


@pytest.mark.rule("D1", "TK-7")
def test_no_key_is_left_to_somebody_who_is_kept_out_meanwhile(server: Server, client: httpx.Client) -> None:
    """Either the key comes first and is ended with the others, or the deactivation does and there is none."""
    for _ in range(3):
        owner = signed_in(client)

        def make(person: Person = owner) -> int:
            return client.post("/api-keys", json={"name": "x"}, headers=person.auth).status_code

        def keep_out(person: Person = owner) -> int:
            write(server.settings, deactivate_user, person.id, origin=OPERATOR, now=server.clock.now())
            return 0

        statuses = at_once([make, keep_out, make])
        assert {statuses[0], statuses[2]} <= {201, 401}
        assert rows(server.settings, "SELECT id FROM api_keys WHERE user_id = ?", owner.id) == []


@pytest.mark.rule("TK-6", "TK-7")
def test_a_key_is_revoked_once_and_not_used_after_that(client: httpx.Client) -> None:
    owner = signed_in(client)
    made = made_key(client, owner)
    auth = bearer(made["key"])

    def revoke() -> int:
        status = client.delete(f"/api-keys/{made['id']}", headers=owner.auth).status_code
        assert_refused(client.get("/users", headers=auth))  # whoever revoked it, this answer came after
        return status

    def use() -> int:
        return client.get("/users", headers=auth).status_code

    answers = at_once([revoke, revoke, revoke, use, use, use])
    assert sorted(answers[:3]) == [204, 404, 404]
    assert set(answers[3:]) <= {200, 401}
    assert_refused(client.get("/users", headers=auth))
