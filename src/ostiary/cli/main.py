"""The `ostiary` command: its subcommands, and what is said when one of them cannot go on."""

import gc
import sys
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_command

COMMANDS = {
    "serve": "Serve the API. An empty data directory becomes a working installation.",
    "user": "Make, show and change users.",
    "role": "Make and show roles, and say who has them.",
    "api-key": "Show, make and revoke the keys that programs call with.",
    "service-account": "Make accounts for programs.",
    "keys": "Show and change the keys that sign access tokens.",
    "audit": "Read, verify and export the audit log.",
    "db": "Look after the database: schema, backups, moving.",
    "doctor": "Say what is wrong with an installation, and how to mend it.",
    "config": "Print every setting: its value, where it came from, its default and its meaning.",
    "openapi": "Print the API's OpenAPI document.",
}
"""Every command with its line in the help; each has a module of its name in this package, or the one below."""

ELSEWHERE = {"api-key": "rights.api_key", "service-account": "rights.service_account", "role": "rights.role"}


class Commands(TyperGroup):
    """Loads a command's module only when it is called, so that help and completion answer at once."""

    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - as typer has it
        """Answer the command that the arguments name, in full."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            command = get_command(_loaded(f"ostiary.cli.{ELSEWHERE.get(name, name)}").cli)
            command.help = command.help or COMMANDS[name]
        return name, command, rest


def _loaded(name: str) -> ModuleType:
    """Load a module with all that it needs: looking for garbage meanwhile would take a fifth of the time of a start."""
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.enable()
        gc.freeze()  # a module stays


cli = typer.Typer(
    name="ostiary",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _help in COMMANDS.items():
    cli.add_typer(typer.Typer(), name=_name, help=_help)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ostiary {version('ostiary')}")
        raise typer.Exit


@cli.callback()
def ostiary(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Accounts and authentication as a service that you run yourself."""


def main() -> None:
    """Run the command line; what goes wrong as foreseen is one clear line and an exit code."""
    try:
        cli()
    except Exception as error:
        from ostiary.cli.failures import explain  # noqa: PLC0415 - knows every part, and is seldom needed

        failure = explain(error)
        if failure is None:
            raise
        print(f"ostiary: {failure.line}", file=sys.stderr)  # noqa: T201 - said to whoever typed the command
        sys.exit(failure.exit_code)
