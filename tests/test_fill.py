"""`python tools/fill.py`: a database full of people to measure with."""

import subprocess
import sys
from pathlib import Path

from tools.fill import PASSWORD, person

from ostiary.users.address import parse_email, parse_username
from tests.cli.command import Installation
from tests.conftest import NewDatabase
from tests.people import Person, log_in
from tests.sessions.beside import rows

ROOT = Path(__file__).parents[1]


def fill(place: Installation, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "tools" / "fill.py"), "--data-dir", str(place.data_dir), *arguments]
    if place.database_url is not None:
        command += ["--database-url", place.database_url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def test_people_are_whom_sign_up_would_take() -> None:
    people = [person(number).user for number in [*range(2000), 9_999_999]]
    for each in people:
        email = parse_email(each.email)
        assert (email.address, email.canonical) == (each.email, each.email_key)
        assert parse_username(each.username).lower() == each.username_key
    assert len({each.username_key for each in people}) == len({each.email_key for each in people}) == len(people)
    assert person(7) == person(7)


def test_database_is_topped_up_to_a_number_of_people(new_database: NewDatabase, tmp_path: Path) -> None:
    fill_and_look(Installation(tmp_path / "data", new_database()), gaps=False)


def test_ids_may_have_gaps(tmp_path: Path) -> None:
    fill_and_look(Installation(tmp_path / "data"), gaps=True)


def fill_and_look(place: Installation, *, gaps: bool) -> None:
    options = ["--gaps"] * gaps
    assert fill(place, "--users", "1500", *options).startswith("1500 users added")
    assert fill(place, "--users", "3200", *options).startswith("1700 users added")
    assert fill(place, "--users", "3200", *options).startswith("0 users added")
    [(count, highest)] = rows(place.settings, "SELECT count(*), max(id) FROM users")
    assert count == 3200
    assert (highest > 3200) is gaps
    with place.serving() as client:
        known = log_in(client, Person({"email": person(3199).user.email}, PASSWORD))
        assert client.get("/users", headers=known.auth).json()["total"] == 3200
