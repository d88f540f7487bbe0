"""What a server of the tests has sent: it writes its mail to files, and here they are read.

mail = wait_for_mail(server, person.email, "reset_password")
client.post("/auth/password/reset", json={"token": token_in(mail), …})
"""

import functools
import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from tests.server import Server
from tests.sessions.waiting import wait_until

_LINK = re.compile(r"https?://\S+\?token=(\S+)")


def mails_to(server: Server, address: str | None = None, name: str | None = None) -> list[EmailMessage]:
    """Every mail that has left, the oldest first; to an address, of a message's name (`reset_password`)."""
    files = sorted(
        (server.settings.data_dir / "mail").glob(f"*-{name or '*'}-*.eml"), key=lambda file: file.stat().st_mtime_ns
    )
    mails = [_read(file) for file in files]
    return [mail for mail in mails if address in {None, recipient_of(mail)}]


@functools.cache
def _read(file: Path) -> EmailMessage:
    """Read a mail, once: a server with its mails serves many tests, and they wait by looking again and again."""
    return message_from_bytes(file.read_bytes(), policy=default)


def wait_for_mail(server: Server, address: str, name: str | None = None, *, count: int = 1) -> EmailMessage:
    """The last of so many mails to an address, once that many have left."""
    wait_until(lambda: len(mails_to(server, address, name)) >= count)
    found = mails_to(server, address, name)
    assert len(found) == count, "more mail than expected"
    return found[-1]


def recipient_of(mail: EmailMessage) -> str:
    [address] = mail["To"].addresses
    return str(address.addr_spec)


def text_of(mail: EmailMessage) -> str:
    """The plain text."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def html_of(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def link_in(mail: EmailMessage) -> str:
    """The one link that does something; it is the same in text and HTML."""
    [found] = [match[0] for match in _LINK.finditer(text_of(mail))]
    assert found in html_of(mail)
    return found


def token_in(mail: EmailMessage) -> str:
    match = _LINK.fullmatch(link_in(mail))
    assert match is not None
    return match[1]
