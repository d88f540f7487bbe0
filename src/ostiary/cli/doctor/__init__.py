"""`ostiary doctor`."""

import typer

from ostiary.cli.doctor.telling import doctor

cli = typer.Typer(add_completion=False)
cli.command()(doctor)
