"""`ostiary user import` that is killed, or done twice at once."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.cli.command import Installation
from tests.cli.files import json_lines, user
from tests.people import log_in, sign_up
from tests.sessions.beside import rows, write

USERS = 40_000
EVERY = 500
"""One line in so many is bad, and one is taken."""
COUNT = "SELECT count(*) FROM users"


@pytest.fixture
def ready(place: Installation) -> Installation:
    place.run("db", "upgrade")
    return place


def big_file(place: Installation) -> Path:
    lines = [user(f"user-{number:06}") for number in range(USERS)]
    for number in range(0, USERS, EVERY):
        lines[number] = user("x")
        lines[number + 1] = user(f"again-{number}") | {"email": lines[number + 2]["email"].upper()}
        lines[number + 1], lines[number + 2] = lines[number + 2], lines[number + 1]
    file = place.data_dir.parent / "people.jsonl"
    file.write_bytes(json_lines(lines))
    return file


def assert_complete(place: Installation, file: Path) -> None:
    """Exactly the file's users are there, each once, and exactly its bad lines are in the reject file, each once."""
    wanted, rejected = [], []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        name = json.loads(line)["username"]
        if name == "x" or name.startswith("again-"):
            rejected.append(number)
        else:
            wanted.append(name)
    assert [name for (name,) in rows(place.settings, "SELECT username FROM users ORDER BY id")] == wanted
    lines = file.with_name("people.rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["reject_line"] for line in lines] == rejected
    with place.serving() as client:
        mine = log_in(client, sign_up(client))
        assert client.get("/users", headers=mine.auth).json()["total"] == len(wanted) + 1


@pytest.mark.rule("FL-1")
def test_import_killed_again_and_again_ends_with_exactly_its_users(ready: Installation) -> None:
    file = big_file(ready)
    kills = 0
    for _ in range(30):
        process = ready.begin("user", "import", str(file))
        before = rows(ready.settings, COUNT)
        deadline = time.monotonic() + 30
        while process.is_alive() and rows(ready.settings, COUNT) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.3))
        if not process.is_alive():
            break
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
    last = ready.run("user", "import", str(file), "--json")
    assert last.code == 4, last
    assert kills >= 1
    summary = json.loads(last.out)
    assert (summary["lines"], summary["added"], summary["rejected"]) == (USERS, USERS - 160, 160)
    assert_complete(ready, file)


def test_two_imports_of_one_file_at_once_do_it_once(ready: Installation) -> None:
    file = big_file(ready)
    processes = [ready.begin("user", "import", str(file)) for _ in range(3)]
    for process in processes:
        process.join(120)
    codes = sorted(process.exitcode for process in processes)
    assert set(codes) <= {1, 4}
    assert 4 in codes
    assert_complete(ready, file)


def test_rejects_of_the_first_part_must_be_at_hand_to_go_on(ready: Installation) -> None:
    file = big_file(ready)
    process = ready.begin("user", "import", str(file))
    while rows(ready.settings, "SELECT count(*) FROM user_imports WHERE rejected > 0") == [(0,)]:
        time.sleep(0.01)
    process.kill()
    process.join()
    rejects = file.with_name("people.rejects.jsonl")
    rejects.rename(file.with_name("moved"))
    refused = ready.run("user", "import", str(file))
    assert refused.code == 1
    assert "is not the reject file of the first part of this import" in refused.line
    file.with_name("moved").rename(rejects)
    with rejects.open("ab") as opened:  # as a chunk does that is never kept
        opened.write(b'{"reject_line": 1}\n' * USERS)
    done = ready.run("user", "import", str(file))
    assert done.code == 4
    assert "Going on after line " in done.err
    assert_complete(ready, file)


def test_leftover_of_a_chunk_that_was_never_kept_is_taken_away(ready: Installation) -> None:
    """Even where nothing is rejected the second time, since the name has become free."""
    ready.make("ann")
    file = ready.data_dir.parent / "people.jsonl"
    file.write_bytes(json_lines([user("ann")]))
    assert ready.run("user", "import", str(file)).code == 4
    ready.run("user", "delete", "ann", "--yes")
    undo = "UPDATE user_imports SET lines = 0, bytes = 0, rejected = 0, rejects_bytes = 0, finished_at = NULL"
    write(ready.settings, lambda connection: connection.exec_driver_sql(undo))
    assert ready.run("user", "import", str(file)).code == 0
    assert not file.with_name("people.rejects.jsonl").exists()
