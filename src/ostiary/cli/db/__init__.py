"""`ostiary db …`: looking after the database."""

import typer

from ostiary.cli.db.backing_up import back_up
from ostiary.cli.db.moving import move
from ostiary.cli.db.restoring import restore
from ostiary.cli.db.upgrading import check, upgrade
from ostiary.cli.db.verifying import verify

cli = typer.Typer(no_args_is_help=True, add_completion=False)
cli.command()(upgrade)
cli.command()(check)
cli.command("backup")(back_up)
cli.command()(restore)
cli.command()(verify)
cli.command()(move)
