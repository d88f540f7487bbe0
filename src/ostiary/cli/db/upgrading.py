"""`ostiary db upgrade` and `ostiary db check`: the database's schema."""

import asyncio

import typer

from ostiary.app import read_secret
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, load_settings, opened
from ostiary.cli.output import print_json
from ostiary.clock import SystemClock
from ostiary.db.schema import HEAD, Standing, State, check_durability, standing, upgrade_schema

EXIT_CODES = {State.CURRENT: 0, State.EMPTY: 1, State.OLDER: 1, State.NEWER: 3}


def upgrade(data_dir: DataDir = None, database_url: DatabaseURL = None) -> None:
    """Bring the schema up to date, as `serve` does at start; a SQLite file is copied to `backups` first."""
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.sqlite_file is not None:
        read_secret(settings)  # a SQLite file without its secret would be taken for one that lost it

    async def run() -> str:
        async with opened(settings) as database:
            before = await standing(database)
            await database.read(check_durability)
            if not await upgrade_schema(database, settings, now=SystemClock().now()):
                return f"{database.place} is up to date: schema version {HEAD}"
            was = "empty" if before.revision is None else before.revision
            return f"{database.place} was upgraded: schema version {HEAD} (was {was})"

    typer.echo(asyncio.run(run()))


def check(as_json: AsJSON = False, data_dir: DataDir = None, database_url: DatabaseURL = None) -> None:
    """Say which schema version the database has and which one is needed; nothing is changed.

    Exit code 0: current. 1: empty or older, `ostiary db upgrade` mends it. 3: newer than this version of Ostiary.
    """
    settings = load_settings(data_dir=data_dir, database_url=database_url)

    async def run() -> tuple[str, Standing]:
        async with opened(settings) as database:
            return database.place, await standing(database)

    place, stands = asyncio.run(run())
    if as_json:
        print_json({"database": place, "state": stands.state.value, "version": stands.revision, "needed": HEAD})
    else:
        typer.echo(f"{place}: {_in_words(stands)}")
    raise typer.Exit(EXIT_CODES[stands.state])


def _in_words(stands: Standing) -> str:
    match stands.state:
        case State.CURRENT:
            return f"schema version {stands.revision}, current"
        case State.EMPTY:
            return f"empty; `ostiary serve` or `ostiary db upgrade` makes schema version {HEAD}"
        case State.OLDER:
            return f"schema version {stands.revision}, older than {HEAD}: `ostiary db upgrade`, or start the server"
        case State.NEWER:
            return f"schema version {stands.revision}, newer than this version of Ostiary: upgrade Ostiary"
