"""`ostiary serve`: from an empty directory to a working server, and a graceful end."""

from typing import Annotated

import typer

from ostiary.cli.options import DatabaseURL, DataDir
from ostiary.cli.readiness import tell_ready
from ostiary.cli.serving.greeting import greeting
from ostiary.cli.serving.server import heed_signals, run
from ostiary.context import App
from ostiary.edge.connections import raise_open_files
from ostiary.edge.listening import listen, listen_for_each
from ostiary.logs import configure_logging
from ostiary.settings import Settings

cli = typer.Typer(add_completion=False)


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [OSTIARY_HOST, 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 is any free one. [OSTIARY_PORT, 8000]")] = None,
    data_dir: DataDir = None,
    workers: Annotated[int | None, typer.Option(help="Server processes. [OSTIARY_WORKERS, 1]")] = None,
    database_url: DatabaseURL = None,
) -> None:
    """Serve the API. An empty data directory becomes a working installation."""
    options = {"host": host, "port": port, "data_dir": data_dir, "workers": workers, "database_url": database_url}
    settings = Settings.load(**options)
    configure_logging(settings)
    raise_open_files()
    if settings.workers == 1:
        listeners = [listen(settings.host, settings.port)]
    else:
        listeners = listen_for_each(settings.workers, settings.host, settings.port)
    if settings.port == 0:
        options["port"] = listeners[0].getsockname()[1]
        settings = Settings.load(**options)
    if settings.workers == 1:
        run(settings, listeners[0], heed=heed_signals, ready=_greet)
        return
    from ostiary.cli.serving.workers import supervise  # noqa: PLC0415 - for several only

    if not supervise(settings, listeners, lambda: Settings.load(**options)):
        raise typer.Exit(1)


async def _greet(app: App) -> None:
    print(await greeting(app), flush=True)  # noqa: T201 - said to whoever started it, not to the log
    tell_ready()
