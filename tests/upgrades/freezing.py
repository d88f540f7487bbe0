"""Freezes a release: a real server of it makes data on both engines, and what it kept becomes two files of SQL.

    python -m tests.upgrades.freezing NAME [SOURCE]

SOURCE is the `src` of the release, unpacked anywhere; without it, this one is frozen. Beside the SQL of each engine, in
`tests/upgrades/snapshots`, stands what must still hold when it is upgraded (`Promise`). Done once for each release
whose data others have; a file that stands there is never made anew, since no later code could have written it.
"""

import argparse
import json
import os
import re
import secrets
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from tests.parts.postgres import Postgres
from tests.people import Person, bearer, log_in, refresh, sign_up, signed_in
from tests.server import Process, clean_environment
from tests.sessions.beside import rows
from tests.sessions.waiting import wait_until

SNAPSHOTS = Path(__file__).parent / "snapshots"
SECRET = "d41f0c9b7e5a48628b3e94d17c60a5fe"  # of these snapshots, and of nothing else
PUBLIC_URL = "http://127.0.0.1:8000"
IMPORTED = "imported@example.com"
NOWHERE = "smtp://127.0.0.1:9"
"""Where mail waits: nobody listens there."""

_NOT_FOR_ALL_VERSIONS = re.compile(r"^(SET |\\|--|SELECT pg_catalog\.set_config)")


@dataclass
class Promise:
    """What was true of the data when it was frozen, in the words of those who were told."""

    frozen_at: str
    revision: str
    total: int
    highest_id: int
    """Given out once, to somebody who was deleted."""
    people: list[dict[str, str]] = field(default_factory=list)
    """Who can log in."""
    kept_out: list[dict[str, str]] = field(default_factory=list)
    """Who is deactivated."""
    live: list[str] = field(default_factory=list)
    """Refresh tokens, each good for one more use."""
    spent: list[str] = field(default_factory=list)
    """Each comes back as a theft, which ends the session of the token at its place in `followers`."""
    followers: list[str] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)
    """Refresh tokens of sessions that were ended."""
    ended_access: list[str] = field(default_factory=list)
    """Access tokens of sessions that were ended, or of somebody who was."""
    kids: list[str] = field(default_factory=list)
    api_keys: list[str] = field(default_factory=list)
    revoked_api_keys: list[str] = field(default_factory=list)
    roles: dict[str, list[str]] = field(default_factory=dict)
    """By e-mail address."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """By e-mail address."""
    waiting_mails: int = 0


class Release:
    """A release at work on one engine: its server and its commands."""

    def __init__(self, source: Path, directory: Path, database_url: str | None) -> None:
        self.has = {path.name for path in (source / "ostiary").iterdir()}
        self.data_dir = directory / "data"
        self.environment = {"PYTHONPATH": str(source), "OSTIARY_SECRET_KEY": SECRET, "OSTIARY_PUBLIC_URL": PUBLIC_URL}
        if database_url is not None:
            self.environment["OSTIARY_DATABASE_URL"] = database_url
        if "mail" in self.has:
            self.environment |= {"OSTIARY_MAIL_URL": NOWHERE, "OSTIARY_MAIL_FROM": "frozen@example.com"}
        self.process = Process(self.data_dir, environment=self.environment | {"OSTIARY_RATE_LIMIT": "off"})

    def command(self, *arguments: str, **options: Any) -> str:
        """Run `ostiary …` and answer what it prints."""
        command = [sys.executable, "-m", "ostiary", *arguments, "--data-dir", str(self.data_dir)]
        environment = clean_environment() | self.environment
        done = subprocess.run(
            command, env=environment, cwd=os.sep, text=True, stdout=subprocess.PIPE, check=True, **options
        )
        return str(done.stdout)


def freeze(name: str, source: Path) -> None:
    """Write the three files of a release."""
    if list(SNAPSHOTS.glob(f"{name}.*")):
        sys.exit(f"{name} is frozen already")
    with tempfile.TemporaryDirectory() as directory, Postgres() as postgres:
        for engine, url in (("sqlite", None), ("postgresql", postgres.create_database())):
            release = Release(source, Path(directory) / engine, url)
            release.data_dir.parent.mkdir()
            promise = live_through(release)
            dumped = dump_sqlite(release.data_dir) if url is None else dump_postgres(postgres, url)
            (SNAPSHOTS / f"{name}.{engine}.sql").write_text(dumped)
            (SNAPSHOTS / f"{name}.{engine}.json").write_text(json.dumps(asdict(promise), indent=1) + "\n")


def live_through(release: Release) -> Promise:
    """Let people do what people do, stop the server, and say what holds from now on."""
    promise = Promise("", "", 0, 0)
    with release.process as process, process.client() as client:
        release.command(
            *("user", "create", "--email", "admin@example.com", "--username", "admin"),
            *("--superuser", "--password-stdin"),
            input="a-passphrase-of-my-own\n",
        )
        admin = log_in(client, Person({"id": 1, "email": "admin@example.com"}, "a-passphrase-of-my-own"))
        _keep_sessions(client, promise)
        _keep_out(release, client, promise)
        if "transfer" in release.has:
            _bring_in(release)
        if "api_keys" in release.has:
            _use_programs_and_roles(release, client, promise)
        promise.people.append({"email": admin.email, "password": admin.password})
        last = sign_up(client)
        release.command("user", "delete", last.email, "--yes")
        promise.highest_id = last.id
        keys = httpx.get(f"{process.url}/.well-known/jwks.json", trust_env=False).json()["keys"]
        promise.kids = [key["kid"] for key in keys]
        promise.total = client.get("/users", headers=admin.auth).json()["total"]
        if "audit" in release.has:
            wait_until(lambda: _ask(release, "SELECT count(*) FROM audit_log WHERE place IS NULL") == 0)
        process.stop()
    if "mail" in release.has:
        promise.waiting_mails = _ask(release, "SELECT count(*) FROM mail_outbox")
    promise.revision = _ask(release, "SELECT version_num FROM alembic_version")
    promise.frozen_at = datetime.now(UTC).isoformat()
    return promise


def _keep_sessions(client: httpx.Client, promise: Promise) -> None:
    """Sessions in every state: fresh, rotated, with a token spent twice over, ended alone, ended with all others."""
    people = [signed_in(client) for _ in range(5)]
    fresh, rotated, thief, left, left_all = people
    promise.live.append(fresh.refresh_token)
    promise.live.append(refresh(client, rotated.refresh_token).json()["refresh_token"])
    promise.spent.append(thief.refresh_token)
    promise.followers.append(refresh(client, thief.refresh_token).json()["refresh_token"])
    for person, path in ((left, "/auth/logout"), (left_all, "/auth/logout-all")):
        assert client.post(path, headers=person.auth).status_code == 204
        promise.revoked.append(person.refresh_token)
        promise.ended_access.append(person.access_token)
    promise.people += [{"email": person.email, "password": person.password} for person in people]


def _keep_out(release: Release, client: httpx.Client, promise: Promise) -> None:
    """Somebody deactivated, somebody deleted, and guesses at a password."""
    banned, gone, guessed = signed_in(client), signed_in(client), sign_up(client)
    release.command("user", "deactivate", banned.email)
    release.command("user", "delete", gone.email, "--yes")
    for _ in range(3):
        assert client.post("/auth/login", json={"email": guessed.email, "password": "wrong"}).status_code == 401
    promise.kept_out.append({"email": banned.email, "password": banned.password})
    promise.revoked += [banned.refresh_token, gone.refresh_token]
    promise.ended_access += [banned.access_token, gone.access_token]
    promise.people.append({"email": guessed.email, "password": guessed.password})


def _bring_in(release: Release) -> None:
    """Import somebody, so that the table of imports has a row."""
    file = release.data_dir / "people.jsonl"
    file.write_text(json.dumps({"email": IMPORTED, "username": "imported"}) + "\n")
    release.command("user", "import", str(file))
    file.unlink()


def _use_programs_and_roles(release: Release, client: httpx.Client, promise: Promise) -> None:
    person = signed_in(client)
    made = [json.loads(release.command("api-key", "create", person.email, "--name", name, "--json")) for name in "ab"]
    promise.api_keys.append(made[0]["key"])
    assert client.delete(f"/api-keys/{made[1]['id']}", headers=person.auth).status_code == 204
    promise.revoked_api_keys.append(made[1]["key"])
    release.command("role", "create", "support", "--permission", "users:read")
    release.command("role", "grant", person.email, "support")
    promise.roles[person.email] = ["support"]
    body = {"metadata": {"shoe size": 43}, "language": "de"}
    answer = client.patch("/users/me/profile", json=body, headers=bearer(person.access_token))
    assert answer.status_code == 200, answer.text
    promise.metadata[person.email] = body["metadata"]
    assert client.post("/auth/password/forgot", json={"email": person.email}).status_code in {200, 202, 204}
    release.command("user", "invite", f"{secrets.token_hex(4)}@example.com", "--role", "support")
    promise.people.append({"email": person.email, "password": person.password})


def _ask(release: Release, query: str) -> Any:
    from tests.conftest import settings_for_tests  # noqa: PLC0415 - what it imports is of this release

    settings = settings_for_tests(release.data_dir, release.environment.get("OSTIARY_DATABASE_URL"))
    return rows(settings, query)[0][0]


def dump_sqlite(data_dir: Path) -> str:
    """All of a file as SQL."""
    [file] = data_dir.glob("*.db")
    with closing(sqlite3.connect(file)) as connection:
        return "\n".join(connection.iterdump()) + "\n"


def dump_postgres(postgres: Postgres, url: str) -> str:
    """All of a database as SQL that any version takes, and that needs no psql."""
    command = [str(postgres.binaries.directory / "pg_dump"), "--inserts", "--no-owner", "--no-privileges", url]
    dumped = subprocess.run(command, text=True, check=True, stdout=subprocess.PIPE).stdout
    lines = [line for line in dumped.splitlines() if line.strip() and not _NOT_FOR_ALL_VERSIONS.match(line)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Freeze a release's data for the tests of upgrades.")
    parser.add_argument("name")
    parser.add_argument("source", type=Path, nargs="?", default=Path(__file__).parents[2] / "src")
    arguments = parser.parse_args()
    freeze(arguments.name, arguments.source.resolve())
