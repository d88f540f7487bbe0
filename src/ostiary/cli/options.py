"""Options that several commands take, and opening the installation that they speak of."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

import typer

from ostiary import app as composition
from ostiary.context import App
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


def with_app(
    work: Callable[[App], Awaitable[T]], *, data_dir: Path | None = None, database_url: str | None = None
) -> T:
    """Open the installation as `serve` would, ready for use, and do some work with it.

    Raises SettingsError, and what `build` and `start` raise.
    """
    settings = Settings.load(data_dir=data_dir, database_url=database_url)

    async def run() -> T:
        app = composition.build(settings)
        try:
            await composition.start(app)
            return await work(app)
        finally:
            await composition.stop(app)

    return asyncio.run(run())
