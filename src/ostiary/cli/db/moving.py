"""`ostiary db move`."""

import asyncio
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from sqlalchemy import Connection

from ostiary.app import known_secret
from ostiary.audit.events import Event
from ostiary.audit.origin import OPERATOR
from ostiary.audit.recording import record
from ostiary.cli.db.backing_up import about, place_for, save_to
from ostiary.cli.db.restoring import restored
from ostiary.cli.options import AsJSON, DataDir, load_settings, naming
from ostiary.cli.output import print_json
from ostiary.clock import SystemClock
from ostiary.db import Misconfigured, Unreachable, open_database
from ostiary.db.backups.file import Header
from ostiary.db.backups.loading import refuse_full
from ostiary.db.sqlite import Sharing, SQLiteDatabase
from ostiary.settings import Settings


class _Moved(NamedTuple):
    header: Header
    file: Path
    place: str


def move(
    to: Annotated[str, typer.Option("--to", help="An empty PostgreSQL database: postgresql://…", show_default=False)],
    as_json: AsJSON = False,
    data_dir: DataDir = None,
) -> None:
    """Move an installation from SQLite to PostgreSQL: same ids, same secret, and nobody is signed out.

    Stop the server first. A backup is made, restored there, and read again row by row before any of it is kept; the
    SQLite file stays as it is. What was cut off has left nothing behind and can be begun again.
    """
    source = load_settings(data_dir=data_dir, database_url=None)
    target = load_settings(data_dir=data_dir, database_url=to)
    if source.sqlite_file is None:
        raise typer.BadParameter("The installation is on PostgreSQL already; see docs/backups.md for the way back.")
    if target.sqlite_file is not None:
        raise typer.BadParameter("It must be postgresql://…", param_hint="--to")
    moved = asyncio.run(_move(source.sqlite_file, source, target))
    if as_json:
        print_json(
            {"from": str(source.sqlite_file), "to": moved.place, "backup": str(moved.file), **about(moved.header)}
        )
        return
    typer.echo(f"{source.sqlite_file} was moved to {moved.place}: {moved.header.rows['users']} users.")
    typer.echo(
        f"Name it in OSTIARY_DATABASE_URL and start the server. The backup that was moved is {moved.file}; do not "
        f"start a server on {source.sqlite_file} again.",
        err=True,
    )


async def _move(file: Path, source: Settings, target: Settings) -> _Moved:
    secret = known_secret(source)
    there = open_database(target)
    try:
        async with naming(there):
            await there.read(refuse_full)  # found out before anything is done
    finally:
        await there.close()
    now = SystemClock().now()
    backup = place_for(source, now)
    database = SQLiteDatabase(file, sharing=Sharing.WITH_NOBODY)
    try:
        try:
            await save_to(backup, database, source, force=True, now=now)
        except Unreachable as problem:
            if "locked" in problem.reason:
                raise Misconfigured(
                    f"{file} is in use: stop the server first, and whatever else has it open"
                ) from problem
            raise
        # Kept until the end, so that no server begins to write what would be left behind.
        header = await restored(backup, target, secret, finish=_record_move, now=now)
        return _Moved(header, backup, there.place)
    finally:
        await database.close()


def _record_move(connection: Connection, header: Header) -> None:
    details = {"made_at": header.made_at}
    record(connection, Event.DATABASE_MOVED, OPERATOR, details=details, now=SystemClock().now())
