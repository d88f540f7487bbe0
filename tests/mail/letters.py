"""Messages for tests, and putting them into a server's outbox."""

import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from ostiary.mail.messages import Message, PasswordChanged, ResetPassword
from ostiary.mail.outbox import enqueue
from tests.server import Server
from tests.sessions.beside import rows, write


def reset(valid_for: timedelta = timedelta(minutes=30)) -> ResetPassword:
    return ResetPassword(username="ada", token=secrets.token_urlsafe(32), valid_for=valid_for)


def changed(server: Server) -> PasswordChanged:
    return PasswordChanged(username="ada", at=server.clock.now())


def somebody() -> str:
    return f"{secrets.token_hex(6)}@example.com"


def post(server: Server, message: Message, *, to: str, language: str = "en", user_id: int | None = 1) -> str:
    """Put a mail into the outbox, as another process would; answer its id."""
    sealer, now = server.app.sealer, server.clock.now()
    return write(server.settings, enqueue, message, to=to, language=language, user_id=user_id, sealer=sealer, now=now)


def post_all(server: Server, message: Message, addresses: Iterable[str]) -> None:
    """Put the same mail to many into the outbox, in one transaction."""

    def flow(connection: Connection) -> None:
        sealer, now = server.app.sealer, server.clock.now()
        for address in addresses:
            enqueue(connection, message, to=address, language="en", user_id=1, sealer=sealer, now=now)

    write(server.settings, flow)


def waiting(server: Server, mail_id: str) -> list[tuple[Any, ...]]:
    """Due moment, tries and lease of a mail; nothing once it is gone."""
    return rows(server.settings, "SELECT due_at, tries, lease_id FROM mail_outbox WHERE id = ?", mail_id)
