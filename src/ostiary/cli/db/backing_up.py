"""`ostiary db backup`."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from ostiary.app import known_secret
from ostiary.cli.moving.bar import bar
from ostiary.cli.moving.exports import opened_target
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, load_settings, opened
from ostiary.cli.output import print_json
from ostiary.clock import SystemClock
from ostiary.db import Database, Misconfigured
from ostiary.db.backups.file import Header
from ostiary.db.backups.saving import save
from ostiary.db.schema import State, made_by_newer, standing
from ostiary.settings import Settings

SUFFIX = ".backup"
STANDARD_OUTPUT = Path("-")

BackupFile: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The backup.", show_default=False)
]


def back_up(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Where to, for its owner alone; `-`: standard output. [DATA_DIR/backups/ostiary-….backup]",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Save everything but the secret into one file, beside a running server, as of one moment.

    It can be restored on either engine. Keep the secret too, and apart from it: without it a backup is worth nothing.
    """
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    now = SystemClock().now()
    target = file or place_for(settings, now)

    async def run() -> Header:
        async with opened(settings) as database:
            return await save_to(target, database, settings, force=force or file is None, now=now)

    header = asyncio.run(run())
    total = sum(header.rows.values())
    if as_json and target != STANDARD_OUTPUT:
        print_json({"file": str(target), "bytes": target.stat().st_size, **about(header)})
    else:
        typer.echo(f"{target}: {total} rows, {header.rows['users']} users, schema version {header.schema}", err=True)


def place_for(settings: Settings, now: datetime) -> Path:
    """Answer where a backup of this moment goes unless another place is named."""
    return settings.data_dir / "backups" / f"ostiary-{now:%Y%m%dT%H%M%SZ}{SUFFIX}"


async def save_to(target: Path, database: Database, settings: Settings, *, force: bool, now: datetime) -> Header:
    """Save a database; the file is complete under its name, or not there. Raises FileInTheWay, and what `save` does."""
    stands = await standing(database)
    if stands.state is State.EMPTY:
        raise Misconfigured(f"there is no installation in {database.place}, so there is nothing to save")
    if stands.state in {State.NEWER, State.AHEAD}:
        raise Misconfigured(made_by_newer(database.place, stands.revision))
    secret = known_secret(settings)
    if target.parent == settings.data_dir / "backups":
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        opened_target(None if target == STANDARD_OUTPUT else target, force=force) as file,
        bar(1, what="rows") as shown,
    ):

        def show(done: int, total: int) -> None:
            shown.show(completed=done, users=done, total=total)

        return await save(database, file, secret, now=now, show=show)


def about(header: Header) -> dict[str, object]:
    """Answer what scripts are told of a backup."""
    return {
        "made_at": header.made_at,
        "made_by": header.ostiary,
        "engine": header.engine,
        "schema": header.schema,
        "secret": header.secret,
        "rows": dict(header.rows),
    }
