"""`ostiary user …`."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ostiary.clock import SystemClock
from tests.audit.inside import recorded
from tests.cli.command import INTERRUPT, Installation, Outcome
from tests.login.guessing import elsewhere
from tests.login.inside import plant_failures, throttle_rows
from tests.mails import mail_to
from tests.people import PASSWORD
from tests.server import Server
from tests.sessions.beside import rows

MEMBERS = ["id", "email", "username", "is_active", "is_superuser", "created_at", "updated_at"]


def create(place: Installation, *options: str, password: str | bytes = PASSWORD) -> Outcome:
    arguments = ("user", "create", "--email", "ann@example.com", "--username", "ann", "--password-stdin")
    return place.run(*arguments, *options, input=password)


def test_first_user_is_made_with_the_installation(place: Installation) -> None:
    made = create(place)
    assert (made.code, made.out) == (0, "User 1 (ann@example.com, ann) was made.\n")
    assert made.err.startswith("A new installation was made: ")
    assert made.err.count("\n") == 1
    again = place.run("user", "list")
    assert again.err == "1 of 1 users\n"


def test_superuser_is_made_as_json(place: Installation) -> None:
    made = create(place, "--superuser", "--json")
    assert list(made.json) == MEMBERS
    assert (made.json["is_superuser"], made.json["is_active"]) == (True, True)
    assert made.json | {"roles": []} == place.run("user", "show", "1", "--json").json


@pytest.mark.parametrize(
    ("options", "password", "said"),
    [
        (["--email", "no address"], PASSWORD, "email must be an address such as user@example.com"),
        (["--username", "a@b"], PASSWORD, "username must be 3 to 64 characters long"),
        ([], "password123", "password"),
        ([], "short", "at least 8 characters"),
        ([], "ann-ann-ann", "password"),
    ],
)
@pytest.mark.rule("PW-1", "PW-3", "SU-1")
def test_command_refuses_what_sign_up_refuses(here: Installation, options: list[str], password: str, said: str) -> None:
    here.make()
    refused = create(here, *options, password=password)
    assert refused.code == 1
    assert said in refused.line
    assert here.run("user", "list", "--json").json["total"] == 1


@pytest.mark.rule("SU-1")
def test_taken_names_are_refused(place: Installation) -> None:
    create(place)
    same_address = create(place, "--email", "ANN@example.com", "--username", "another")
    assert (same_address.code, same_address.line) == (1, "This e-mail address is already registered")
    same_username = create(place, "--email", "another@example.com", "--username", "ANN")
    assert (same_username.code, same_username.line) == (1, "This username is already taken")


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\nwhat follows is no part of it\n"])
@pytest.mark.rule("PW-2")
def test_password_is_one_line_as_it_is(here: Installation, end: bytes) -> None:
    create(here, "--superuser", password=f"  {PASSWORD}é ".encode() + end)
    with here.serving() as client:
        for password, status in ((f"  {PASSWORD}é ", 200), (f"{PASSWORD}é", 401)):
            answer = client.post("/auth/login", json={"email": "ann@example.com", "password": password})
            assert answer.status_code == status


@pytest.mark.parametrize(("given", "said"), [(b"", "no password"), (b"\n", "no password"), (b"\xff" * 20, "not UTF-8")])
def test_unreadable_password_is_wrong_usage(here: Installation, given: bytes, said: str) -> None:
    refused = create(here, password=given)
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert not here.data_dir.exists()


def test_without_a_terminal_nothing_is_asked(here: Installation) -> None:
    refused = here.run("user", "create", "--email", "ann@example.com", "--username", "ann", input=PASSWORD)
    assert refused.code == 2
    assert "--password-stdin" in refused.err
    here.make()
    undecided = here.run("user", "delete", "1", input="y\n")
    assert undecided.code == 2
    assert "--yes" in undecided.err


def test_password_is_asked_for_twice_and_not_shown(here: Installation) -> None:
    code, screen = here.on_terminal(
        *("user", "create", "--email", "ann@example.com", "--username", "ann"),
        answers=[
            ("Password: ", "one-Thing-42\n"),
            ("Once more: ", "another-Thing-42\n"),
            ("Password: ", f"{PASSWORD}\n"),
            ("Once more: ", f"{PASSWORD}\n"),
        ],
    )
    assert code == 0, screen
    assert "The two are not the same." in screen
    assert screen.endswith("User 1 (ann@example.com, ann) was made.\n")
    assert "Thing" not in screen
    assert PASSWORD not in screen


def test_interrupted_command_says_so_by_its_exit_code(here: Installation) -> None:
    arguments = ("user", "create", "--email", "ann@example.com", "--username", "ann")
    code, screen = here.on_terminal(*arguments, answers=[("Password: ", INTERRUPT)])
    assert code == 130
    assert "Traceback" not in screen


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 1), ("n\n", 1, 2), ("\n", 1, 2)])
def test_deleting_asks_first(here: Installation, answer: str, code: int, left: int) -> None:
    here.make()
    here.make("ann")
    ended, screen = here.on_terminal("user", "delete", "ann", answers=[("[y/N] ", answer)])
    assert "Delete User 2 (ann@example.com, ann)" in screen
    assert ended == code
    assert here.run("user", "list", "--json").json["total"] == left


@pytest.mark.parametrize("who", ["2", "ANN@EXAMPLE.COM", "Ann"])
def test_users_are_found_by_id_address_and_username(place: Installation, who: str) -> None:
    place.make(is_superuser=True)
    place.make("ann")
    assert place.run("user", "show", who, "--json").json["id"] == 2
    shown = place.run("user", "show", who)
    assert [line.split()[0] for line in shown.out.splitlines()] == [*MEMBERS, "roles"]


@pytest.mark.parametrize("who", ["3", "0", "nobody", "nobody@example.com", "9" * 19, "9" * 5000, "", "\udcff", "a b"])
def test_unknown_user_is_one_line(here: Installation, who: str) -> None:
    here.make()
    for command in ("show", "promote", "demote", "activate", "deactivate"):
        refused = here.run("user", command, "--", who)
        assert refused.code == 1
        assert refused.line.startswith("There is no user with this id, e-mail address or username: ")


def test_username_of_digits_comes_after_the_id(here: Installation) -> None:
    here.make()
    here.make("100")
    here.make("001")
    assert here.run("user", "show", "100", "--json").json["id"] == 2
    assert here.run("user", "show", "001", "--json").json["id"] == 1


@pytest.mark.rule("AD-4")
def test_rights_and_state_change(place: Installation) -> None:
    place.make(is_superuser=True)
    place.make("ann")
    for command, member, value in (
        ("promote", "is_superuser", True),
        ("promote", "is_superuser", True),
        ("demote", "is_superuser", False),
        ("deactivate", "is_active", False),
        ("activate", "is_active", True),
    ):
        assert place.run("user", command, "ann", "--json").json[member] is value
        assert place.run("user", "show", "ann", "--json").json[member] is value
    assert place.run("user", "promote", "ann").out == "User 2 (ann@example.com, ann) is a superuser.\n"


@pytest.mark.rule("AD-4")
def test_last_active_superuser_stays(place: Installation) -> None:
    place.make(is_superuser=True)
    ann = str(place.make("ann", is_superuser=True))
    place.run("user", "deactivate", ann)
    for command in (["demote"], ["deactivate"], ["delete", "--yes"]):
        refused = place.run("user", *command, "root")
        assert refused.code == 1
        assert refused.line == "The last active superuser cannot be removed, demoted or deactivated"
    root = place.run("user", "show", "root", "--json").json
    assert root.pop("roles") == []
    assert (root["is_superuser"], root["is_active"]) == (True, True)
    place.run("user", "activate", ann)
    assert place.run("user", "delete", "root", "--yes", "--json").json == root


@pytest.mark.rule("AD-4")
def test_superusers_who_demote_each_other_at_once_leave_one(place: Installation) -> None:
    names = [f"admin-{number}" for number in range(4)]
    for name in names:
        place.make(name, is_superuser=True)
    commands = [("demote", names[0]), ("deactivate", names[1]), ("delete", names[2], "--yes"), ("demote", names[3])]
    with ThreadPoolExecutor(len(commands)) as pool:
        codes = list(pool.map(lambda command: place.run("user", *command).code, commands))
    assert sorted(codes) == [0, 0, 0, 1]
    kept = "SELECT count(*) FROM users WHERE is_superuser AND is_active"
    assert rows(place.settings, kept) == [(1,)]


@pytest.mark.rule("AD-6")
def test_deleted_user_takes_everything_with_him_and_his_id_stays_spent(place: Installation) -> None:
    place.make(is_superuser=True)
    place.make("ann")
    assert place.run("user", "delete", "ann", "--yes").out == "User 2 (ann@example.com, ann) is deleted.\n"
    assert rows(place.settings, "SELECT count(*) FROM passwords") == [(1,)]
    assert place.run("user", "show", "2").code == 1
    assert place.make("ann") == 3


@pytest.mark.rule("LG-3", "LG-4")
def test_user_whom_strangers_have_locked_out_is_let_in_again(place: Installation) -> None:
    place.make("bob")
    ann = place.make("ann")
    with Server(place.settings) as server, server.client() as client:
        for user_id in (1, ann):
            plant_failures(server, user_id, *elsewhere(100))
        credentials = {"email": "ann@example.com", "password": PASSWORD}
        assert client.post("/auth/login", json=credentials).status_code == 401
        assert place.run("user", "unlock", "ann").out == "User 2 (ann@example.com, ann) may log in from anywhere.\n"
        assert client.post("/auth/login", json=credentials).status_code == 200
        assert [row.user_id for row in throttle_rows(place.settings)] == [1]
    assert ("throttle_cleared", None, ann, {}) in recorded(place.settings, about=ann)
    assert place.run("user", "unlock", "nobody").code == 1


def test_list_goes_page_by_page(place: Installation) -> None:
    for number in range(1, 4):
        place.make(f"user-{number}")
    page = place.run("user", "list", "--skip", "1", "--limit", "1", "--json").json
    assert [user["id"] for user in page.pop("items")] == [2]
    assert page == {"total": 3, "skip": 1, "limit": 1}
    shown = place.run("user", "list", "--limit", "2")
    assert shown.err == "2 of 3 users; more with --skip 2\n"
    assert [line.split()[0] for line in shown.out.splitlines()[2:]] == ["1", "2"]
    assert place.run("user", "list", "--skip", "2").err == "1 of 3 users\n"
    beyond = place.run("user", "list", "--skip", "3")
    assert (beyond.code, beyond.err) == (0, "0 of 3 users\n")
    assert place.run("user", "list", "--limit", "0").code == 2


def test_nothing_is_cut_off_on_a_pipe(here: Installation) -> None:
    email = f"{'l' * 60}@{'d' * 60}.{'e' * 60}.example.com"
    here.make("u" * 64, email=email)
    out = here.run("user", "list").out
    assert f" {email} " in out
    assert "u" * 64 in out
    assert email in here.run("user", "show", "1").out


def test_json_stands_alone_on_standard_output(place: Installation, tmp_path: Path) -> None:
    """Even for the command that makes the whole installation, with a log that would say everything."""
    made = Installation(place.data_dir, place.database_url, {"OSTIARY_LOG_LEVEL": "debug"})
    outcome = create(made, "--json")
    assert json.loads(outcome.out)["id"] == 1
    assert re.fullmatch(r"A new installation was made: .*\n", outcome.err)
    assert tmp_path.exists()


def test_list_finds_some_in_an_order(place: Installation) -> None:
    place.make("root", is_superuser=True)
    for name in ("carl", "anna", "Anton"):
        place.make(name)
    place.run("user", "deactivate", "anna")

    def found(*options: str) -> list[str]:
        listed = place.run("user", "list", "--json", *options).json
        assert listed["total"] == len(listed["items"])
        return [user["username"] for user in listed["items"]]

    assert found("--q", "AN") == ["anna", "Anton"]
    assert found("--sort", "-username") == ["root", "carl", "Anton", "anna"]
    assert found("--inactive") == ["anna"]
    assert found("--active", "--no-superuser", "--sort=email") == ["Anton", "carl"]
    assert found("--superuser") == ["root"]
    assert found("--role", "nobody-has-it") == []
    shown = place.run("user", "list", "--active", "--limit", "2")
    assert shown.err == "2 of 3 users; more with --skip 2\n"
    assert place.run("user", "list", "--sort", "password").code == 2


@pytest.mark.rule("TK-6", "TK-7")
def test_sessions_are_shown_and_ended(place: Installation) -> None:
    ann = place.make("ann")
    assert place.run("user", "sessions", "ann", "--json").json["items"] == []
    with place.serving() as client:
        answer = client.post("/auth/login", json={"email": "ann@example.com", "password": PASSWORD})
        access = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        [session] = place.run("user", "sessions", "ann", "--json").json["items"]
        assert session["id"] == client.get("/sessions", headers=access).json()["items"][0]["id"]
        assert session["ip"] == "127.0.0.1"
        assert session["id"] in place.run("user", "sessions", "ANN@example.com").out
        ended = place.run("user", "end-sessions", "ann")
        assert ended.out == "User 1 (ann@example.com, ann) is signed out of 1 session.\n"
        assert client.get("/sessions", headers=access).status_code == 401
    assert place.run("user", "end-sessions", "ann", "--json").json == {"user_id": ann, "sessions": 0}
    events = "SELECT event, origin FROM audit_log WHERE event = 'sessions_ended'"
    assert rows(place.settings, events) == [("sessions_ended", "operator")] * 2


def test_a_user_is_renamed(here: Installation) -> None:
    here.make()
    here.make("ann")
    assert here.run("user", "rename", "ann", "Anna").out == "User 2 (ann@example.com, Anna) has another username.\n"
    assert here.run("user", "show", "anna", "--json").json["username"] == "Anna"
    for username, said in (("ROOT", "already taken"), ("a b", "username must be")):
        refused = here.run("user", "rename", "anna", username)
        assert (refused.code, said in refused.line) == (1, True)


@pytest.mark.rule("RC-4")
def test_resets_and_invitations_are_started_and_mailed_by_the_server(place: Installation) -> None:
    place.make("ann")
    started = place.run("user", "reset-password", "ann")
    assert started.out == "User 1 (ann@example.com, ann) is mailed a link to choose a new password by.\n"
    invited = place.run("user", "invite", "Bob@example.com", "--username", "bob", "--language", "de")
    assert invited.out == "Bob@example.com is mailed an invitation, good for seven days.\n"
    with Server(place.settings) as server, server.client() as client:
        server.clock.advance(seconds=(SystemClock().now() - server.clock.now()).total_seconds())
        reset = mail_to(place.settings, "ann@example.com", "reset_password")
        answer = client.post("/auth/password/reset", json={"token": reset.token, "new_password": "another-Thing-42"})
        assert answer.status_code == 204
        invitation = mail_to(place.settings, "Bob@example.com", "invitation")
        answer = client.post("/auth/invite", json={"token": invitation.token, "password": PASSWORD})
        assert answer.json()["username"] == "bob"
    assert place.run("user", "reset-password", "nobody").code == 1
    for arguments, said in (
        (["ann@example.com"], "already registered"),
        (["carl@example.com", "--username", "ANN"], "already taken"),
        (["no address"], "must be an address"),
        (["carl@example.com", "--role", "unknown"], "roles: one of them does not exist"),
    ):
        refused = place.run("user", "invite", *arguments)
        assert refused.code == 1
        assert said in refused.line
    place.run("user", "deactivate", "bob")
    assert place.run("user", "reset-password", "bob").line == "This user is deactivated"
