"""What a server of the tests has sent: it writes its mail to files, and here they are read.

mail = mail_to(server.settings, person.email, "reset_password")
client.post("/auth/password/reset", json={"token": mail.token, …})
"""

import functools
import re
import time
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from ostiary.settings import Settings
from tests.sessions.beside import rows
from tests.sessions.waiting import WAIT_SECONDS, wait_until

_LINK = re.compile(r"https?://[^/\s]+(/[a-z/-]+\?token=([A-Za-z0-9_-]{43}))")


@dataclass(frozen=True)
class Mail:
    """One mail."""

    name: str
    """Of the message: `reset_password`."""
    to: str
    text: str
    html: str
    letter: EmailMessage = field(repr=False)

    @property
    def subject(self) -> str:
        return str(self.letter["Subject"])

    @property
    def url(self) -> str:
        """Its one link; it is the same in text and HTML."""
        [url] = {match[0] for match in _LINK.finditer(self.text)}
        assert {match[0] for match in _LINK.finditer(self.html)} == {url}
        return str(url)

    @property
    def link(self) -> str:
        """The path and query of its link."""
        return _found(_LINK.fullmatch(self.url))[1]

    @property
    def token(self) -> str:
        """The token of its link."""
        return _found(_LINK.fullmatch(self.url))[2]


def mails(settings: Settings, *, to: str = "", name: str = "") -> list[Mail]:
    """Every mail that has left, the oldest first; to one address, of one kind."""
    files = sorted((settings.data_dir / "mail").glob("*.eml"), key=lambda file: file.stat().st_mtime_ns)
    return [mail for mail in map(_read, files) if to in {"", mail.to} and name in {"", mail.name}]


def mail_to(settings: Settings, to: str, name: str = "", *, number: int = 1) -> Mail:
    """Wait for the n-th mail to an address, perhaps of one kind."""
    deadline = time.monotonic() + WAIT_SECONDS
    while len(found := mails(settings, to=to, name=name)) < number:
        assert time.monotonic() < deadline, f"no {name} came to {to}: {mails(settings, to=to)}"
        time.sleep(0.02)
    return found[number - 1]


def told(settings: Settings, to: str) -> list[str]:
    """What an address was told, once nothing waits any more: the names of the messages."""
    settled(settings)
    return [mail.name for mail in mails(settings, to=to)]


def settled(settings: Settings) -> None:
    """Wait until nothing is asked for any more and nothing waits to be delivered."""
    wait_until(lambda: rows(settings, "SELECT count(*) FROM mail_requests") == [(0,)])
    wait_until(lambda: rows(settings, "SELECT count(*) FROM mail_outbox") == [(0,)])


def opened(letter: EmailMessage, name: str = "") -> Mail:
    """Take a letter out of its envelope."""
    text, html = (letter.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    [address] = letter["To"].addresses
    return Mail(name, address.addr_spec, text.get_content().replace("\r\n", "\n"), html.get_content(), letter)


@functools.cache
def _read(file: Path) -> Mail:
    """Read a mail, once: a server with its mails serves many tests, and they wait by looking again and again."""
    return opened(message_from_bytes(file.read_bytes(), policy=default), file.stem.split("-")[1])


def _found(match: re.Match[str] | None) -> re.Match[str]:
    assert match is not None
    return match
