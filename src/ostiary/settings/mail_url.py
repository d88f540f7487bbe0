"""How mail leaves: the server that takes it, or a directory, and the mailbox it comes from."""

import re
from enum import Enum, auto
from typing import Annotated, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BeforeValidator

from ostiary.settings.values import is_loopback, parse_host

FILES = "file:"
"""Mail is written to files instead of being sent."""

_DEFAULT_PORTS = {"smtp": 587, "smtps": 465}
_NAME = r"[^\x00-\x1f\x7f-\x9f<>\"\\]*?"
_ADDRESS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_MAILBOX = re.compile(rf"(?:\"?(?P<name>{_NAME})\"?\s*<(?P<bracketed>{_ADDRESS})>|(?P<bare>{_ADDRESS}))")


class Encryption(Enum):
    """When a connection to the mail server becomes encrypted. Certificates are always verified where it does."""

    NEVER = auto()
    """The server is this machine: nobody else is on the way."""
    STARTTLS = auto()
    """Before anything is said that matters; a server that cannot is not spoken to (RFC 3207)."""
    AT_ONCE = auto()
    """From the first byte (RFC 8314 §3.3)."""


class MailServer(NamedTuple):
    """Where mail is handed in. The password is in plain: this never leaves the process."""

    host: str
    port: int
    encryption: Encryption
    username: str | None
    password: str | None


class Mailbox(NamedTuple):
    """Whom mail is from: a name to show, which may be empty, and an address."""

    name: str
    address: str


def parse_mail_url(text: str) -> MailServer | None:
    """Read `smtp://user:password@host:port` or `smtps://…`; None stands for `file:`.

    Raises ValueError, without a text: the library's own would repeat parts of it.
    """
    if text == FILES:
        return None
    try:
        parts = urlsplit(text)
        host, port = parse_host(parts.hostname or ""), parts.port
    except ValueError:
        raise ValueError from None
    if parts.scheme not in _DEFAULT_PORTS or parts.path not in {"", "/"} or parts.query or parts.fragment or port == 0:
        raise ValueError
    if parts.scheme == "smtps":
        encryption = Encryption.AT_ONCE
    else:
        encryption = Encryption.NEVER if is_loopback(host) else Encryption.STARTTLS
    username, password = _credentials(parts)
    return MailServer(host, port or _DEFAULT_PORTS[parts.scheme], encryption, username, password)


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    """Answer user name and password, both or neither."""
    if bool(parts.username) != bool(parts.password):
        raise ValueError
    return (unquote(parts.username), unquote(parts.password)) if parts.username and parts.password else (None, None)


def parse_mailbox(text: str) -> Mailbox:
    """Read `address@example.com` or `Some Name <address@example.com>`, the address in ASCII. Raises ValueError."""
    match = _MAILBOX.fullmatch(text.strip())
    if match is None:
        raise ValueError
    return Mailbox((match["name"] or "").strip(), match["bracketed"] or match["bare"])


def _check_mail_url(value: object) -> str:
    text = str(value).strip()
    parse_mail_url(text)
    return text


def _check_mailbox(value: object) -> str:
    text = str(value).strip()
    parse_mailbox(text)
    return text


MailURL = Annotated[str, BeforeValidator(_check_mail_url)]
MailboxText = Annotated[str, BeforeValidator(_check_mailbox)]
