"""`ostiary db …`: looking after the database."""

import typer

from ostiary.cli.db.upgrading import check, upgrade

cli = typer.Typer(no_args_is_help=True, add_completion=False)
cli.command()(upgrade)
cli.command()(check)
