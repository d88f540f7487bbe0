"""Mail as it left the house: the files that a server without a mail server writes."""

import email
import email.policy
import functools
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ostiary.settings import Settings
from tests.sessions.beside import rows
from tests.sessions.waiting import WAIT_SECONDS, wait_until

LINK = re.compile(r"(http://\S+?)(/[a-z/-]+)\?token=([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Mail:
    """One mail."""

    name: str
    to: str
    subject: str
    text: str
    html: str

    @property
    def token(self) -> str:
        """The token of its one link."""
        links = {match.groups() for match in LINK.finditer(self.text + self.html)}
        assert len(links) == 1, links
        [(_, _, token)] = links
        return token

    @property
    def link(self) -> str:
        """The path and query of its link."""
        match = LINK.search(self.text)
        assert match is not None
        return f"{match[2]}?token={match[3]}"


def mails(settings: Settings, *, to: str, name: str = "") -> list[Mail]:
    """The mails to an address, perhaps of one kind only, in the order in which they were written."""
    found = [(path.stat().st_mtime_ns, mail) for path, mail in _written(settings) if mail.to == to]
    return [mail for _, mail in sorted(found, key=lambda pair: pair[0]) if name in {"", mail.name}]


def mail_to(settings: Settings, to: str, name: str, *, number: int = 1) -> Mail:
    """Wait for the n-th mail of a kind to an address."""
    deadline = time.monotonic() + WAIT_SECONDS
    while len(found := mails(settings, to=to, name=name)) < number:
        assert time.monotonic() < deadline, f"no {name} came to {to}: {mails(settings, to=to)}"
        time.sleep(0.02)
    return found[number - 1]


def settled(settings: Settings) -> None:
    """Wait until nothing is asked for any more and nothing waits to be delivered."""
    wait_until(lambda: rows(settings, "SELECT count(*) FROM mail_requests") == [(0,)])
    wait_until(lambda: rows(settings, "SELECT count(*) FROM mail_outbox") == [(0,)])


def _written(settings: Settings) -> Iterator[tuple[Path, Mail]]:
    for path in (settings.data_dir / "mail").glob("*.eml"):
        yield path, _read(path)


@functools.cache
def _read(path: Path) -> Mail:
    """Read a mail, once: a server with its mails serves many tests, and they wait by looking again and again."""
    letter = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    text, html = (letter.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    name = path.stem.split("-")[1]
    return Mail(name, str(letter["To"]), str(letter["Subject"]), text.get_content(), html.get_content())
