"""`ostiary audit …`: reading, verifying and exporting the audit log."""

import typer

from ostiary.cli.audit.reading import export_events, list_events
from ostiary.cli.audit.verifying import verify_log

cli = typer.Typer(no_args_is_help=True, add_completion=False)

cli.command("list")(list_events)
cli.command("verify")(verify_log)
cli.command("export")(export_events)
