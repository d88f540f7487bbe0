"""What somebody was told by mail: the files that a server without a mail server writes."""

import email
from email.message import Message

from tests.people import Person
from tests.server import Server
from tests.sessions.beside import rows
from tests.sessions.waiting import wait_until


def mails_to(server: Server, person: Person) -> list[str]:
    """The kinds of mail that a person was sent, once nothing about him waits any more."""
    waiting = "SELECT count(*) FROM mail_outbox WHERE user_id = ?"
    wait_until(lambda: rows(server.settings, waiting, person.id) == [(0,)])
    written = sorted((server.settings.data_dir / "mail").glob("*.eml"))
    return [path.name.split("-")[1] for path in written if _read(path.read_bytes())["To"] == person.email]


def _read(content: bytes) -> Message:
    return email.message_from_bytes(content)
