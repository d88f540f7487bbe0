"""`ostiary db restore`."""

import asyncio
from datetime import datetime
from pathlib import Path
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
from ostiary.db.backups.file import Header
from ostiary.db.backups.loading import Finish, check, load
from ostiary.sessions.ending import RESTORED, end_all_sessions_of_all
from ostiary.settings import Settings


def restore(
    file: BackupFile,
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="Sign everybody out, so that nothing ended since then lives again.")
    ] = False,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Make an empty database what a backup says. The secret must be in place before; nothing else may be.

    The file is checked from end to end first, and what was written is compared with it before any of it is kept. A
    backup of an older version is upgraded. Exit code 1: the file cannot be trusted. Stop the server meanwhile.
    """
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    secret = known_secret(settings)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = SystemClock().now()
    ended = 0

    def finish(connection: Connection, header: Header) -> None:
        nonlocal ended
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
        typer.echo(
            f"Sessions, API keys and links that were ended or used after {header.made_at} are good again; whoever "
            "refreshed a session since must log in. See docs/backups.md.",
            err=True,
        )
    if (settings.data_dir / CHECKPOINTS).exists():
        typer.echo(
            f"{settings.data_dir / CHECKPOINTS} has seen what the backup has not: `ostiary audit verify` will say so. "
            "Keep it elsewhere, and it begins anew.",
            err=True,
        )


async def restored(file: Path, settings: Settings, secret: Secret, *, finish: Finish, now: datetime) -> Header:
    """Check a backup and load it into the database that the settings name; answer what it says of itself."""
    with file.open("rb") as opened, bar(1, what="rows") as shown:

        def show(done: int, total: int) -> None:
            shown.show(completed=done, users=done, total=total)

        checked = await check(opened, secret)
        await load(checked, settings, finish=finish, now=now, show=show)
        return checked.header
