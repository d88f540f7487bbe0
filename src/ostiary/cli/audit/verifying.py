"""`ostiary audit verify`."""

from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path

import typer

from ostiary.audit.sealing.checkpoints import FILE, Checkpoint, Unreadable, checkpoints_in
from ostiary.audit.sealing.verifying import verify
from ostiary.audit.worker import seal_all
from ostiary.cli.moving.bar import bar
from ostiary.cli.options import DatabaseURL, DataDir, with_app
from ostiary.context import App


def verify_log(
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Check that nothing in the log was changed, removed or slipped in since it was sealed. Exit code 1: something was.

    Each finding is a line. What is newer is sealed first. The checkpoints beside the database are compared too.
    """

    async def work(app: App) -> int:
        file, findings = app.settings.data_dir / FILE, 0
        checkpoints = _checkpoints(app, file)
        await seal_all(app.db, app.audit_keys, app.clock)
        with bar(1, what="rows") as shown:

            def show(done: int, total: int) -> None:
                shown.show(completed=done, users=done, total=total)

            async with aclosing(verify(app.db, app.audit_keys, checkpoints, show=show)) as said:
                async for finding in said:
                    findings += 1
                    typer.echo(finding)
        return findings

    findings = with_app(work, data_dir=data_dir, database_url=database_url)
    if findings:
        typer.echo(f"The audit log is not as it was sealed: {findings} findings.", err=True)
        raise typer.Exit(1)
    typer.echo("The audit log is as it was sealed.", err=True)


def _checkpoints(app: App, file: Path) -> Iterable[Checkpoint | Unreadable]:
    if file.exists():
        return checkpoints_in(file, app.audit_keys)
    typer.echo(f"There are no checkpoints ({file}): a cut-off end, or an older copy, would not show.", err=True)
    return ()
