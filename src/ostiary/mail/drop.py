"""Mail as files, where no server is set up: for development, and for tests."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from ostiary.mail.transport import Letter, ServerAway

log = structlog.get_logger(__name__)


class FileDrop:
    """Writes each letter to a file of its own that only its owner reads, and tells the log where: never what is in it.

    It is a few kilobytes, on the disk that the database is on, so it is not worth a thread.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @asynccontextmanager
    async def open(self) -> AsyncIterator["FileDrop"]:
        """See that the directory is there."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ServerAway(f"{self._directory}: {error.strerror}") from None
        yield self

    async def send(self, letter: Letter) -> None:
        """Write a letter, whole or not at all; the same one again takes the place of the first."""
        path = self._directory / f"{letter.created_at:%Y%m%dT%H%M%S}-{letter.name}-{letter.mail_id}.eml"
        draft = path.with_suffix(".part")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(letter.content)
            draft.replace(path)
        except OSError as error:
            raise ServerAway(f"{self._directory}: {error.strerror}") from None
        log.info("mail_written", mail_id=letter.mail_id, path=str(path))
