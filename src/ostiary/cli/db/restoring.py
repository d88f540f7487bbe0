"""`ostiary db restore`."""

import asyncio
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from sqlalchemy import Connection

from ostiary.app import known_secret
from ostiary.audit.events import Event
from ostiary.audit.origin import OPERATOR
from ostiary.audit.recording import record
from ostiary.audit.sealing.checkpoints import FILE as CHECKPOINTS
from ostiary.cli.db.backing_up import BackupFile, about
from ostiary.cli.moving.bar import bar
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, load_settings
from ostiary.cli.output import print_json
from ostiary.clock import SystemClock
from ostiary.crypto.secret import Secret
from ostiary.db.backups.copies import as_backup, is_copy
from ostiary.db.backups.file import Header
from ostiary.db.backups.loading import Finish, check, load
from ostiary.sessions.ending import RESTORED, end_all_sessions_of_all
from ostiary.settings import Settings
from ostiary.users.bulk import leave_gap

MOST_SKIPPED = 1_000_000_000
LIVE_AGAIN = (
    "Sessions, API keys and links that were ended or used after {} are good again; whoever refreshed a session since "
    "must log in. See docs/backups.md."
)
SEEN_MORE = (
    "{} has seen what the backup has not: `ostiary audit verify` will say so. Keep it elsewhere, and it begins anew."
)


def restore(
    file: BackupFile,
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="Sign everybody out, so that nothing ended since then lives again.")
    ] = False,
    skip_ids: Annotated[
        int,
        typer.Option(min=0, max=MOST_SKIPPED, help="Give so many ids to nobody: who signed up since then had them."),
    ] = 0,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Make an empty database what a backup says. The secret must be in place before; nothing else may be.

    The file is checked from end to end first, and what was written is compared with it before any of it is kept. A
    backup of an older version is upgraded. A copy of a SQLite file is taken too, such as an upgrade leaves in
    `backups`. Exit code 1: the file cannot be trusted. Stop the server meanwhile.
    """
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    secret = known_secret(settings)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = SystemClock().now()
    ended = 0

    def finish(connection: Connection, header: Header) -> None:
        nonlocal ended
        if skip_ids:
            leave_gap(connection, skip_ids)
        if end_sessions:
            ended = end_all_sessions_of_all(connection, because=RESTORED, now=now)
        details = {"made_at": header.made_at, "sessions": ended}
        record(connection, Event.DATABASE_RESTORED, OPERATOR, details=details, now=now)

    header = asyncio.run(restored(file, settings, secret, finish=finish, now=now))
    if as_json:
        print_json({"file": str(file), "sessions_ended": ended, **about(header)})
    else:
        typer.echo(f"{file} is restored: {header.rows['users']} users, as of {header.made_at}.")
    if end_sessions:
        typer.echo(f"{ended} sessions were ended.", err=True)
    else:
        typer.echo(LIVE_AGAIN.format(header.made_at), err=True)
    if (settings.data_dir / CHECKPOINTS).exists():
        typer.echo(SEEN_MORE.format(settings.data_dir / CHECKPOINTS), err=True)


async def restored(file: Path, settings: Settings, secret: Secret, *, finish: Finish, now: datetime) -> Header:
    """Check a backup and load it into the database that the settings name; answer what it says of itself."""
    with ExitStack() as stack, bar(1, what="rows") as shown:

        def show(done: int, total: int) -> None:
            shown.show(completed=done, users=done, total=total)

        if is_copy(file):
            directory = stack.enter_context(TemporaryDirectory(prefix="ostiary-copy-"))
            file = await as_backup(file, Path(directory), secret)
        with file.open("rb") as opened:
            checked = await check(opened, secret)
            await load(checked, settings, finish=finish, now=now, show=show)
            return checked.header
