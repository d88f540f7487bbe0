"""Sessions that were authenticated some time ago, on a server whose clock is not to be moved."""

from datetime import timedelta

from sqlalchemy import Connection, update

from ostiary.sessions.models import sessions
from tests.people import Person
from tests.server import Server
from tests.sessions.answers import session_of
from tests.sessions.beside import write


def age(server: Server, person: Person, *, seconds: float = 300) -> None:
    """Let so much time have passed since somebody last proved who he is."""

    def change(connection: Connection) -> None:
        at = server.clock.now() - timedelta(seconds=seconds)
        connection.execute(update(sessions).where(sessions.c.id == session_of(person)).values(authenticated_at=at))

    write(server.settings, change)
