"""`ostiary user import`."""

import csv
import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Installation
from tests.cli.files import ANOTHER, OURS, csv_lines, json_lines, user
from tests.people import PASSWORD, Person, log_in, sign_up
from tests.sessions.beside import rows

ALL = "SELECT email, username, is_active, is_superuser FROM users ORDER BY id"
MANY = [
    user("ann", password_hash=OURS, created_at="2020-02-03T04:05:06"),
    user("bob", password_hash=ANOTHER, is_active=False),
    user("Cid", is_superuser=True, password_hash=ANOTHER),
    user("dee") | {"email": "Dee@BÜCHER.example"},
]
KEPT = [
    ("ann@example.com", "ann", True, False),
    ("bob@example.com", "bob", False, False),
    ("Cid@example.com", "Cid", True, True),
    ("Dee@xn--bcher-kva.example", "dee", True, False),
]
COLUMNS = ["username", "email", "password_hash", "is_active", "is_superuser", "created_at"]


@pytest.fixture
def ready(place: Installation) -> Installation:
    place.run("db", "upgrade")
    return place


@pytest.fixture
def at_hand(here: Installation) -> Installation:
    here.run("db", "upgrade")
    return here


def written(place: Installation, name: str, content: bytes) -> str:
    path = place.data_dir.parent / name
    path.write_bytes(content)
    return str(path)


def rejects_of(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("people.jsonl", json_lines(MANY)),
        ("people.ndjson", b"\xef\xbb\xbf" + json_lines(MANY).replace(b"\n", b"\r\n\r\n").rstrip()),
        ("people.CSV", csv_lines(COLUMNS, MANY)),
        ("people.csv", b"\xef\xbb\xbf" + csv_lines(COLUMNS, MANY).replace(b"\r\n", b"\n")),
    ],
)
def test_users_go_in_and_can_log_in(ready: Installation, name: str, content: bytes) -> None:
    done = ready.run("user", "import", written(ready, name, content), "--json")
    assert {member: done.json[member] for member in ("added", "rejected", "rejects")} == {
        "added": 4,
        "rejected": 0,
        "rejects": None,
    }
    assert [(e, u, bool(a), bool(s)) for e, u, a, s in rows(ready.settings, ALL)] == KEPT
    assert not list(ready.data_dir.parent.glob("*rejects*"))
    with ready.serving(real_hashing=True) as client:
        ann = log_in(client, Person({"email": "ann@example.com"}, PASSWORD))
        shown = client.get("/users/1", headers=ann.auth).json()
        assert (shown["created_at"], shown["username"]) == ("2020-02-03T04:05:06", "ann")
        log_in(client, Person({"email": "CID@example.com"}, PASSWORD))
        for refused in ("bob@example.com", "dee@bücher.example"):
            answer = client.post("/auth/login", json={"email": refused, "password": PASSWORD})
            assert answer.status_code == 401
        listed = client.get("/users", headers=ann.auth).json()
        assert (listed["total"], [item["id"] for item in listed["items"]]) == (4, [1, 2, 3, 4])
    assert rows(ready.settings, "SELECT password_hash FROM passwords WHERE user_id = 1") == [(OURS,)]
    [(rehashed,)] = rows(ready.settings, "SELECT password_hash FROM passwords WHERE user_id = 3")
    assert rehashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert rows(ready.settings, "SELECT count(*) FROM passwords WHERE user_id = 4") == [(0,)]


@pytest.mark.rule("PW-6", "SU-1")
def test_bad_lines_are_rejected_with_their_reason_and_good_ones_go_in(ready: Installation) -> None:
    ready.make("taken")
    good = [user("ann"), user("zoe", password_hash=OURS)]
    bad: list[tuple[bytes, str]] = [
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"email": "a@example.com", "email": "b@example.com"}', "repeats a member name"),
        (b'{"email": NaN}', "NaN"),
        (b'{"email": "a\\u0000@example.com"}', "NUL"),
        (b'{"email": "\xff"}', "not valid UTF-8"),
        (b'{"email": "' + b"a" * 70_000 + b'"}', "longer than 65536 bytes"),
        (json.dumps(user("bob", groups=["admin"])).encode(), "unknown member groups"),
        (json.dumps(user("bob", roles=["admin"])).encode(), "there is no role admin"),
        (json.dumps(user("bob") | {"email": "nobody"}).encode(), "email must be an address"),
        (json.dumps(user("b@b") | {"email": "bob@example.com"}).encode(), "username must be 3 to 64"),
        (json.dumps(user("bob", password_hash="$2b$12$" + "x" * 53)).encode(), "Argon2 family"),
        (json.dumps(user("bob", created_at="2999-01-01T00:00:00")).encode(), "future"),
        (json.dumps(user("other") | {"email": "TAKEN@EXAMPLE.COM"}).encode(), "address is already registered"),
        (json.dumps(user("Taken") | {"email": "other@example.com"}).encode(), "username is already taken"),
        (json.dumps(user("other") | {"email": "ann@EXAMPLE.com"}).encode(), "address is already registered"),
        (json.dumps(user("ANN") | {"email": "other@example.com"}).encode(), "username is already taken"),
    ]
    lines = [json_lines([good[0]])[:-1], *(line for line, _ in bad), json_lines([good[1]])[:-1]]
    file = written(ready, "people.jsonl", b"\n".join(lines))
    rehearsed = ready.run("user", "import", file, "--dry-run")
    assert rehearsed.code == 4
    assert "2 users in, 17 lines rejected. Nothing was written." in rehearsed.out
    assert rows(ready.settings, "SELECT count(*) FROM users") == [(1,)]
    assert not list(ready.data_dir.parent.glob("*rejects*"))
    done = ready.run("user", "import", file)
    assert (done.code, "2 users in, 17 lines rejected" in done.out) == (4, True), done
    assert rehearsed.err.splitlines() == done.err.splitlines()[:17], "a rehearsal says what an import does"
    rejected = rejects_of(file.replace(".jsonl", ".rejects.jsonl"))
    assert stat.S_IMODE(Path(file.replace(".jsonl", ".rejects.jsonl")).stat().st_mode) == 0o600
    assert [each["reject_line"] for each in rejected] == list(range(2, 19))
    for (_, said), each, line in zip(bad, rejected, done.err.splitlines(), strict=False):
        assert said in each["reject_reason"]
        assert line == f"line {each['reject_line']}: {each['reject_reason']}"
    assert rejected[7]["username"] == "bob"
    assert [name for _, name, *_ in rows(ready.settings, ALL)] == ["taken", "ann", "zoe"]
    assert "xxx" not in done.out + done.err + rehearsed.err, "hashes are not printed"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "must name the columns"),
        (b"email\n", "username is missing"),
        (b"email,username,email\n", "twice"),
        (b"email,username,phone\n", "unknown member phone"),
        (b"\xff\xfee\0m\0", "not valid UTF-8"),
        (b"email;username\n", "unknown member email;username"),
    ],
)
def test_csv_without_a_right_first_line_is_refused(at_hand: Installation, content: bytes, said: str) -> None:
    refused = at_hand.run("user", "import", written(at_hand, "people.csv", content))
    assert refused.code == 1
    assert said in refused.line


def test_bad_lines_of_csv_are_rejected_and_can_be_mended(at_hand: Installation) -> None:
    content = (
        b"email,username,is_active\n"
        b"ann@example.com,ann,\n"
        b"bob@example.com,bob\n"
        b"cid@example.com,cid,yes\n"
        b'"dee@example.com,dee,true\n'
        b'eve@example.com,"a ""b""",true\n'
        b'"fay@example.com","fay","false"\n'
    )
    file = written(at_hand, "people.csv", content)
    assert at_hand.run("user", "import", file).code == 4
    path = Path(file.replace(".csv", ".rejects.csv"))
    header, *rejected = list(csv.reader(io.StringIO(path.read_text())))
    assert header == ["email", "username", "is_active", "reject_line", "reject_reason"]
    assert [(row[0], row[3]) for row in rejected] == [
        ("", "3"),
        ("cid@example.com", "4"),
        ("", "5"),
        ("eve@example.com", "6"),
    ]
    assert "has 2 fields, the first line names 3" in rejected[0][4]
    assert "quote that is not closed" in rejected[2][4]
    mended = path.read_text().replace(",yes,", ",true,").replace('"a ""b"""', "eve")
    again = at_hand.run("user", "import", written(at_hand, "mended.csv", mended.encode()), "--json")
    assert json.loads(again.out)["added"] == 2
    assert [name for _, name, *_ in rows(at_hand.settings, ALL)] == ["ann", "fay", "cid", "eve"]


def test_finished_import_is_not_done_again_unless_asked_for(ready: Installation) -> None:
    file = written(ready, "people.jsonl", json_lines([user("ann"), user("x")]))
    assert ready.run("user", "import", file).code == 4
    Path(file.replace(".jsonl", ".rejects.jsonl")).unlink()
    again = ready.run("user", "import", file)
    assert (again.code, again.err.count("\n")) == (4, 1)
    assert "was imported already: 1 users in, 1 lines rejected. Nothing was done" in again.out
    ready.run("user", "delete", "ann", "--yes")
    anew = ready.run("user", "import", file, "--again", "--json")
    assert anew.code == 4
    assert json.loads(anew.out)["added_now"] == 1
    assert len(rejects_of(file.replace(".jsonl", ".rejects.jsonl"))) == 1
    assert rows(ready.settings, "SELECT id FROM users") == [(2,)]


def test_files_of_others_are_not_overwritten(at_hand: Installation) -> None:
    file = written(at_hand, "people.jsonl", json_lines([user("x")]))
    other = written(at_hand, "people.rejects.jsonl", b"precious\n")
    for options in ([], ["--again"], ["--rejects", file]):
        refused = at_hand.run("user", "import", file, *options)
        assert refused.code == 1
        assert "exists already" in refused.line
    assert Path(other).read_bytes() == b"precious\n"
    assert Path(file).read_bytes() == json_lines([user("x")])
    assert at_hand.run("user", "import", file, "--rejects", other + "2").code == 4


def test_wrong_usage(here: Installation) -> None:
    file = written(here, "people.txt", b"")
    assert here.run("user", "import", file).code == 2
    assert here.run("user", "import", file + "2").code == 2
    nowhere = here.run("user", "import", file, "--format", "jsonl")
    assert (nowhere.code, nowhere.line.startswith("there is no installation yet")) == (3, True)


def test_progress_is_shown_on_a_terminal_alone(at_hand: Installation) -> None:
    file = written(at_hand, "people.jsonl", json_lines(user(f"user-{number}") for number in range(30)))
    code, screen = at_hand.on_terminal("user", "import", file)
    assert code == 0, screen
    assert "100%" in screen
    assert "30 users" in screen
    assert at_hand.run("user", "import", file).err == ""


def test_long_list_of_bad_lines_is_cut_short_on_the_screen(at_hand: Installation) -> None:
    file = written(at_hand, "people.jsonl", b"{\n" * 50)
    done = at_hand.run("user", "import", file)
    assert done.err.count("\n") == 22
    assert "and more, in " in done.err
    assert len(rejects_of(file.replace(".jsonl", ".rejects.jsonl"))) == 50


def test_sign_up_beside_an_import_is_served(ready: Installation) -> None:
    """The same names are taken from both sides at once: each has one owner, and all are counted."""
    names = [f"user-{number:05}" for number in range(20_000)]
    file = written(ready, "people.jsonl", json_lines(map(user, names)))
    with ready.serving() as client:
        import_ = ready.begin("user", "import", file, "--json")
        signed_up = {}
        for name in reversed(names[-400:]):
            answer = client.post("/users", json=user(name, password=PASSWORD))
            assert answer.status_code in {201, 400}, answer.text
            signed_up[name] = answer.status_code == 201
            if not import_.is_alive():
                break
        import_.join(60)
        mine = log_in(client, sign_up(client))
        assert client.get("/users", headers=mine.auth).json()["total"] == len(names) + 1
    kept = [name for (name,) in rows(ready.settings, "SELECT username FROM users")]
    assert len(kept) == len(set(kept)) == len(names) + 1
