"""How a letter may fare on its way out: what a transport offers, and the three ways in which it fails."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NamedTuple, Protocol


class Letter(NamedTuple):
    """What is handed over: the envelope and the content."""

    mail_id: str
    name: str
    """Of the message, for people."""
    created_at: datetime
    sender: str
    recipient: str
    content: bytes


class Undelivered(Exception):  # noqa: N818 - not an error of ours
    """A letter was not taken. `reason` says why, for the log: no address and no link in it (LA-2)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refused(Undelivered):
    """For good: trying again would be answered alike."""


class Postponed(Undelivered):
    """For now, and this letter alone; others may fare better."""


class ServerAway(Undelivered):
    """Not this letter's fault: the server cannot be reached, does not answer, or lets us not in."""


class Session(Protocol):
    """One connection, for several letters."""

    async def send(self, letter: Letter) -> None:
        """Hand a letter over; it is the other side's from when this returns. Raises Undelivered."""


class Transport(Protocol):
    """A way out."""

    def open(self) -> AbstractAsyncContextManager[Session]:
        """Connect. Raises ServerAway."""
