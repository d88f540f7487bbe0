"""`ostiary db upgrade` and `ostiary db check`: the database's schema."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, NoReturn

import typer

from ostiary.app import read_secret
from ostiary.cli.db.planning import Plan, plan
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, load_settings, opened
from ostiary.cli.output import print_json
from ostiary.clock import SystemClock
from ostiary.db.schema import HEAD, Standing, State, check_durability, standing, upgrade_schema
from ostiary.settings import Settings

EXIT_CODES = {State.CURRENT: 0, State.EMPTY: 1, State.OLDER: 1, State.AHEAD: 0, State.NEWER: 3}


def upgrade(
    only_plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON, for scripts.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Bring the schema up to date, as `serve` does at start; a SQLite file is copied to `backups` first.

    All of it is one transaction: killed half way, nothing was changed, and the next try begins anew. With `--plan`
    nothing is changed either, and the exit code is that of `ostiary db check`: 0 where there is nothing to do, 1 where
    there is, 3 where the database is newer than this version of Ostiary can work with.
    """
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    if only_plan:
        _show_plan(settings, as_json=as_json)
    if as_json:
        raise typer.BadParameter("goes with --plan only", param_hint="--json")
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


def _show_plan(settings: Settings, *, as_json: bool) -> NoReturn:
    async def run() -> Plan:
        async with opened(settings) as database:
            return await plan(database, settings)

    made = asyncio.run(run())
    if as_json:
        print_json(_as_json(made))
    else:
        typer.echo("\n".join(_plan_in_words(made)))
    raise typer.Exit(EXIT_CODES[made.stands.state])


def _as_json(made: Plan) -> dict[str, object]:
    return {
        "database": made.place,
        "state": made.stands.state.value,
        "version": made.stands.revision,
        "needed": made.needed,
        "rolling": made.is_rolling,
        "backup": made.backup or None,
        "copied_bytes": made.copied_bytes,
        "steps": [
            {
                "version": step.number,
                "does": step.does,
                "tables": list(step.tables),
                "rolling": step.is_compatible,
                "waits": step.waits or None,
            }
            for step in made.steps
        ],
    }


def _plan_in_words(made: Plan) -> Iterator[str]:
    yield f"{made.place}: {_in_words(made.stands)}"
    for step in made.steps:
        yield f"  {step.number}  {step.does}"
        yield f"        tables: {', '.join(step.tables)}"
        if step.waits:
            yield f"        waits: {step.waits}"
        if not step.is_compatible and made.stands.revision is not None:
            yield "        servers of before must be stopped first"
    if not made.steps:
        yield "Nothing is to be done."
    elif made.stands.revision is not None:
        size = "" if made.copied_bytes is None else f" ({-(-made.copied_bytes // 1_000_000)} MB)"
        yield f"Backup: {made.backup}{size}"
        yield (
            "Servers of the version before may go on meanwhile, and be replaced one after the other."
            if made.is_rolling
            else "Stop every server of the version before: they cannot work with what comes."
        )


def check(as_json: AsJSON = False, data_dir: DataDir = None, database_url: DatabaseURL = None) -> None:
    """Say which schema version the database has and which one is needed; nothing is changed.

    Exit code 0: current, or newer and this version may go on with it. 1: empty or older, `ostiary db upgrade` mends it.
    3: newer than this version of Ostiary can work with.
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
        case State.AHEAD:
            return f"schema version {stands.revision}, newer than {HEAD}; this version of Ostiary may go on with it"
        case State.NEWER:
            return f"schema version {stands.revision}, newer than this version of Ostiary: upgrade Ostiary"
