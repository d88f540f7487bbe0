"""Options that several commands take, and opening the installation that they speak of."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

import typer

from ostiary.context import App
from ostiary.db import Database, Misconfigured, Unreachable, open_database
from ostiary.db.schema import State, made_by_newer, standing
from ostiary.logs import configure_logging
from ostiary.settings import Settings

T = TypeVar("T")

DataDir: TypeAlias = Annotated[
    Path | None, typer.Option(help="Directory of the SQLite file and the secret. [OSTIARY_DATA_DIR]")
]
DatabaseURL: TypeAlias = Annotated[
    str | None, typer.Option(help="postgresql://… or sqlite:///… [OSTIARY_DATABASE_URL]")
]
AsJSON: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def load_settings(*, data_dir: Path | None, database_url: str | None) -> Settings:
    """Read the settings as `serve` does, and let the log say only what is wrong. Raises SettingsError."""
    settings = Settings.load(data_dir=data_dir, database_url=database_url)
    is_quiet = settings.log_level in {"error", "critical"}
    configure_logging(settings if is_quiet else settings.model_copy(update={"log_level": "warning"}))
    return settings


@asynccontextmanager
async def naming(database: Database) -> AsyncIterator[None]:
    """Say of a database that cannot be used which one it is."""
    try:
        yield
    except Unreachable as problem:
        raise Unreachable(reason=f"{database.place}: {problem.reason}") from problem


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """Open the database that the settings name, whatever is in it."""
    database = open_database(settings)
    try:
        async with naming(database):
            yield database
    finally:
        await database.close()


def with_database(
    work: Callable[[Database], Awaitable[T]], *, data_dir: Path | None = None, database_url: str | None = None
) -> T:
    """Do some work with the database of an installation; nothing is made or upgraded for it.

    Raises SettingsError, Misconfigured, Unreachable.
    """
    settings = load_settings(data_dir=data_dir, database_url=database_url)

    async def run() -> T:
        async with opened(settings) as database:
            await _refuse_unready(database)
            return await work(database)

    return asyncio.run(run())


def with_app(
    work: Callable[[App], Awaitable[T]],
    *,
    data_dir: Path | None = None,
    database_url: str | None = None,
    may_begin: bool = False,
) -> T:
    """Do some work with all of an installation, its secret too; `may_begin` makes a new one where there is none.

    Raises SettingsError, and what `build` and `start` raise.
    """
    from ostiary import app as composition  # noqa: PLC0415 - heavy, and most commands do without

    settings = load_settings(data_dir=data_dir, database_url=database_url)

    async def run() -> T:
        async with opened(settings) as database:
            begins = await _refuse_unready(database, may_begin=may_begin)
        app = composition.build(settings)
        try:
            async with naming(app.db):
                await composition.start(app)
                if begins:
                    typer.echo(f"A new installation was made: {app.db.place}", err=True)
                return await work(app)
        finally:
            await composition.stop(app)

    return asyncio.run(run())


async def _refuse_unready(database: Database, *, may_begin: bool = False) -> bool:
    """Refuse a database that is not as this version needs it; answer whether it is one to begin with."""
    stands = await standing(database)
    if stands.state is State.EMPTY and not may_begin:
        raise Misconfigured(
            f"there is no installation yet: {database.place} is empty. `ostiary serve` or `ostiary user create` makes "
            "one; --data-dir, --database-url and the settings OSTIARY_DATA_DIR, OSTIARY_DATABASE_URL name another place"
        )
    if stands.state is State.OLDER:
        raise Misconfigured(
            f"{database.place} has schema version {stands.revision} and must be upgraded first: `ostiary db upgrade`, "
            "or start the server"
        )
    if stands.state is State.NEWER:
        raise Misconfigured(made_by_newer(database.place, stands.revision))
    return stands.state is State.EMPTY
