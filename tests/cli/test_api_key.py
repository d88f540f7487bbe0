"""`ostiary api-key …`, beside a running server."""

import pytest

from tests.api_keys.keys import made_key
from tests.cli.command import Installation
from tests.people import Person, bearer, log_in, signed_in
from tests.users.asking import BAD_CREDENTIALS


@pytest.mark.rule("TK-6", "TK-7")
def test_a_revoked_key_is_refused_at_once(place: Installation) -> None:
    place.make()
    with place.serving() as client:
        owner = log_in(client, Person({"email": "root@example.com"}, "correct-horse-Battery-9"))
        other = signed_in(client)
        first, second, third = (
            made_key(client, owner, name="[bold]one"),
            made_key(client, owner),
            made_key(client, other),
        )
        listed = place.run("api-key", "list", "--json").json
        assert {item["id"] for item in listed["items"]} == {first["id"], second["id"], third["id"]}
        assert list(listed["items"][0])[:2] == ["user_id", "id"]
        assert place.run("api-key", "list", "--user", "root", "--json").json["total"] == 2
        shown = place.run("api-key", "list", "--user", "root")
        assert "[bold]one" in shown.out
        assert "never" in shown.out
        assert shown.err == "2 of 2 API keys\n"
        assert not any(key["key"] in shown.out or key["key"] in str(listed) for key in (first, second, third))
        said = place.run("api-key", "revoke", first["id"], "--yes")
        assert said.out == f"API key {first['id']} ([bold]one) of user 1 is revoked.\n"
        answer = client.get("/users", headers=bearer(first["key"]))
        assert (answer.status_code, answer.json()) == (401, BAD_CREDENTIALS)
        assert client.get("/users", headers=bearer(second["key"])).status_code == 200


def test_what_is_not_there_is_one_line(here: Installation) -> None:
    here.make()
    refused = here.run("api-key", "revoke", "no-such-key", "--yes")
    assert (refused.code, refused.line) == (1, "There is no API key no-such-key")
    assert here.run("api-key", "revoke", "no-such-key").code == 2, "nobody can be asked"
    refused = here.run("api-key", "list", "--user", "nobody")
    assert refused.line == "There is no user with this id, e-mail address or username: nobody"


def test_a_program_is_set_up_from_the_command_line(place: Installation) -> None:
    place.make()
    with place.serving() as client:
        assert place.run("role", "create", "auditor", "--permission", "audit:read").code == 0
        user = place.run("service-account", "create", "ci-bot", "--role", "auditor", "--json").json
        assert user["email"] == "ci-bot@service.invalid"
        made = place.run("api-key", "create", "ci-bot", "--name", "the export", "--scope", "audit:read", "--days", "3")
        assert made.err.startswith("Key ")
        auth = bearer(made.out.strip())
        assert client.get("/users/me", headers=auth).json() == user
        assert client.get("/audit", headers=auth).status_code == 200
        made = place.run("api-key", "create", "ci-bot", "--name", "x", "--json").json
        assert client.get("/users/me", headers=bearer(made["key"])).json() == user
        refused = place.run("api-key", "create", "ci-bot", "--name", "x", "--scope", "users:read")
        assert (refused.code, refused.line) == (
            1,
            "A key cannot have a scope that its owner or its maker does not hold",
        )
        refused = place.run("api-key", "create", "ci-bot", "--name", "x", "--scope", "fly")
        assert refused.line.startswith("scopes: must be from")
        assert place.run("api-key", "create", "nobody", "--name", "x").code == 1
        refused = place.run("service-account", "create", "other-bot", "--role", "nothing")
        assert refused.line == "roles: there is no role of this name"
        assert place.run("user", "show", "other-bot").code == 1, "all of it or nothing"
