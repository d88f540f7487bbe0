"""A place with an audit log and no server: rows are added, sealed, tampered with and verified by the test itself."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, delete

from ostiary.audit.events import Event
from ostiary.audit.models import AuditRow, audit_chain, audit_erasures, audit_log
from ostiary.audit.origin import OPERATOR, Origin
from ostiary.audit.recording import record
from ostiary.audit.sealing.chain import SealingKeys
from ostiary.audit.sealing.checkpoints import FILE, append, checkpoint_of, checkpoints_in
from ostiary.audit.sealing.flows import stored_head
from ostiary.audit.sealing.verifying import verify
from ostiary.audit.worker import seal_all
from ostiary.crypto.secret import Secret
from ostiary.db import Database
from ostiary.db.schema import upgrade_schema
from ostiary.settings import Settings
from tests.audit.inside import audit_rows
from tests.clock import FakeClock
from tests.db.opened import on_database
from tests.sessions.beside import rows, write

P = ParamSpec("P")
T = TypeVar("T")

ONE = b"f3b1c9e07a5d4862b9e4d17c60a8f25e"
TWO = b"77c2e1ad90b84f3f8d5e6a0b1c9d2e4f"


class Log:
    """An audit log that is empty at first."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = FakeClock()
        self.keys = SealingKeys(Secret(ONE))
        self.file: Path = settings.data_dir / FILE

    def prepare(self) -> None:
        """Make the tables."""

        async def run(database: Database) -> None:
            await upgrade_schema(database, self.settings, now=self.clock.now())

        self.settings.data_dir.mkdir(exist_ok=True)
        on_database(self.settings, run)

    def clear(self) -> None:
        """Make it empty again."""

        def empty(connection: Connection) -> None:
            for table in (audit_log, audit_chain, audit_erasures):
                connection.execute(delete(table))

        self.write(empty)
        self.file.unlink(missing_ok=True)

    def write(self, flow: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return write(self.settings, flow, *args, **kwargs)

    def tamper(self, statement: str, *values: Any) -> None:
        """Change something behind everybody's back."""
        rows(self.settings, statement, *values)

    def add(self, count: int, *, user_id: int = 7, actor_id: int | None = 7, every_seconds: float = 1) -> None:
        """Record some logins, one after the other."""

        def some(connection: Connection) -> None:
            for number in range(count):
                origin = Origin(actor_id, f"192.0.2.{number % 200}", f"browser {number}", f"request-{number}")
                now = self.clock.now() + timedelta(seconds=number * every_seconds)
                details = {"number": number}
                record(connection, Event.LOGIN_SUCCEEDED, origin, user_id=user_id, details=details, now=now)

        self.write(some)
        self.clock.advance(seconds=count * every_seconds)

    def add_operators(self) -> None:
        self.write(record, Event.USER_PROMOTED, OPERATOR, user_id=8, now=self.clock.now())

    def seal(self) -> int:
        return on_database(self.settings, lambda database: seal_all(database, self.keys, self.clock))

    def sign(self) -> None:
        """Add a checkpoint of the head."""
        stored = self.write(stored_head)
        assert stored is not None
        append(self.file, checkpoint_of(stored.head, self.keys, now=self.clock.now()))

    def rows(self) -> list[AuditRow]:
        """All rows in the order of their places."""
        return sorted(audit_rows(self.settings), key=lambda row: row.place or 0)

    def findings(self) -> list[str]:
        """Seal what waits, and verify, as the command does."""
        self.seal()

        async def run(database: Database) -> list[str]:
            checkpoints = checkpoints_in(self.file, self.keys) if self.file.exists() else ()
            found = verify(database, self.keys, checkpoints, show=lambda _done, _total: None)
            return [finding async for finding in found]

        return on_database(self.settings, run)


def sealed_at_once(log: Log, number: int) -> list[int]:
    """Let several sealers that know nothing of each other seal at the same moment."""

    async def run() -> list[int]:
        return await asyncio.gather(
            *(
                asyncio.to_thread(on_database, log.settings, lambda database: seal_all(database, log.keys, log.clock))
                for _ in range(number)
            )
        )

    return asyncio.run(run())
