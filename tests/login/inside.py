"""What tests of logins change and read in a server's database, past the API."""

import json
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from ostiary.audit.origin import OPERATOR
from ostiary.credentials.models import password_of, passwords
from ostiary.crypto.passwords import StoredPassword
from ostiary.db.types import to_milliseconds
from ostiary.login.places import network_of, subject_of
from ostiary.login.throttle import login_throttles
from ostiary.settings import Settings
from ostiary.users.accounts import set_active, set_superuser
from tests.people import Person
from tests.server import Server
from tests.sessions.beside import write


def deactivate(server: Server, person: Person) -> None:
    write(server.settings, set_active, person.id, is_active=False, origin=OPERATOR, now=server.clock.now())


def promote(server: Server, person: Person) -> None:
    write(server.settings, set_superuser, person.id, is_superuser=True, origin=OPERATOR, now=server.clock.now())


def demote(server: Server, person: Person) -> None:
    write(server.settings, set_superuser, person.id, is_superuser=False, origin=OPERATOR, now=server.clock.now())


def stored_hash(server: Server, person: Person) -> str:
    def read(connection: Connection) -> StoredPassword | None:
        return password_of(connection, person.id)

    stored = write(server.settings, read)
    assert stored is not None
    return stored.password_hash


def store_hash(server: Server, person: Person, password_hash: str) -> None:
    def change(connection: Connection) -> None:
        connection.execute(
            update(passwords).where(passwords.c.user_id == person.id).values(password_hash=password_hash)
        )

    write(server.settings, change)


def remove_password(server: Server, person: Person) -> None:
    def remove(connection: Connection) -> None:
        connection.execute(delete(passwords).where(passwords.c.user_id == person.id))

    write(server.settings, remove)


def throttle_rows(settings: Settings) -> list[Any]:
    """Answer what is stored of everybody's attempts."""

    def read(connection: Connection) -> list[Any]:
        return list(connection.execute(select(login_throttles)))

    return write(settings, read)


def plant_failures(server: Server, user_id: int, *sources: str) -> None:
    """Let a user's password have been guessed at just now, from unknown places."""
    failures: dict[str, dict[str, list[int]]] = {}
    for source in sources:
        moments = failures.setdefault(network_of(source), {}).setdefault(source, [])
        moments.append(to_milliseconds(server.clock.now()))

    def plant(connection: Connection) -> None:
        row = {"subject": subject_of(user_id), "user_id": user_id, "failures": json.dumps(failures)}
        counts = {"strangers": len(sources), "refused": 0, "updated_at": server.clock.now()}
        connection.execute(insert(login_throttles).values(row | counts))

    write(server.settings, plant)


def attempts_stored(settings: Settings, person: Person | None = None) -> list[int]:
    """Answer how many attempts are stored for each source of each account, or of one."""
    mine = [row for row in throttle_rows(settings) if person is None or row.user_id == person.id]
    networks = [network for row in mine for network in json.loads(row.failures).values()]
    return [len(moments) for sources in networks for moments in sources.values()]


def strangers_stored(settings: Settings, person: Person) -> int:
    """Answer how many attempts from unknown places are stored as having failed one after another."""
    return sum(row.strangers for row in throttle_rows(settings) if row.user_id == person.id)
