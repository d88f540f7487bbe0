"""`ostiary role …`."""

import pytest

from ostiary.web.permissions import PERMISSIONS
from tests.audit.inside import recorded
from tests.cli.command import Installation
from tests.sessions.beside import rows


@pytest.mark.rule("AD-4")
def test_roles_are_made_given_taken_and_deleted(place: Installation) -> None:
    place.make()
    made = place.run(
        *("role", "create", "support", "--permission", "users:read", "--permission", "sessions:write"),
        *("--description", "Answers users"),
    )
    assert (made.code, made.out) == (0, "Role support was made.\n")
    role = {"name": "support", "description": "Answers users", "permissions": ["users:read", "sessions:write"]}
    assert place.run("role", "list", "--json").json == {"items": [role], "total": 1}
    assert place.run("role", "list").out.splitlines()[-1].split() == [
        "support",
        *role["permissions"],
        "Answers",
        "users",
    ]

    given = place.run("role", "grant", "root", "support")
    assert given.out == "User 1 (root@example.com, root) has the role support.\n"
    assert place.run("role", "grant", "1", "support", "--json").json == role
    assert place.run("user", "show", "root", "--json").json["roles"] == ["support"]
    assert "roles" in place.run("user", "show", "root").out
    used = place.run("role", "delete", "support")
    assert (used.code, used.line) == (1, "The role is in use: take it from everybody first")

    taken = place.run("role", "revoke", "root@example.com", "support")
    assert taken.out == "User 1 (root@example.com, root) does not have the role support any more.\n"
    again = place.run("role", "revoke", "1", "support")
    assert (again.code, again.line) == (1, "User 1 (root@example.com, root) does not have the role support")
    assert place.run("role", "delete", "support").out == "Role support is deleted.\n"
    assert place.run("role", "list", "--json").json == {"items": [], "total": 0}
    waiting = rows(place.settings, "SELECT message FROM mail_outbox")
    assert waiting == [("roles_changed",)] * 2  # one for what was given, one for what was taken; the server sends them
    events = [(row.event, row.actor_id) for row in recorded(place.settings) if row.event.startswith("role_")]
    assert events == [(f"role_{what}", None) for what in ("created", "granted", "revoked", "deleted")]


def test_a_role_may_permit_everything_or_nothing(here: Installation) -> None:
    here.make()
    every = [option for name in PERMISSIONS for option in ("--permission", name)]
    assert here.run("role", "create", "every", *every, "--json").json["permissions"] == list(PERMISSIONS)
    assert here.run("role", "create", "none", "--json").json["permissions"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "Support"], "name: must be 1 to 64 characters of a-z 0-9 _ -, a letter first"),
        (["create", "x", "--permission", "users:*"], "permissions: must be from users:read, users:write, "),
        (["create", "x", "--description", "two\nlines"], "description: must be one line"),
        (["create", "taken"], "There is a role of this name already"),
        (["delete", "nobodys"], "There is no role of this name: nobodys"),
        (["grant", "root", "nobodys"], "There is no role of this name: nobodys"),
        (["grant", "root", "\udcff"], "There is no role of this name: "),
        (["revoke", "root", "nobodys"], "There is no role of this name: nobodys"),
        (["grant", "nobody", "taken"], "There is no user with this id, e-mail address or username: nobody"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(here: Installation, arguments: list[str], said: str) -> None:
    here.make()
    here.run("role", "create", "taken")
    refused = here.run("role", *arguments)
    assert refused.code == 1
    assert refused.line.startswith(said)
