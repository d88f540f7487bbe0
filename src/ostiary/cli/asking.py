"""Asking whoever typed the command: for a password, for a yes."""

import sys
from getpass import getpass

import typer


def ask_password() -> str:
    """Ask for a new password on the terminal, twice and without showing it. Raises BadParameter without a terminal."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("Without a terminal, give the password as a line on standard input: --password-stdin.")
    while True:
        typed = getpass("Password: ")
        if typed == getpass("Once more: "):
            return typed
        typer.echo("The two are not the same.", err=True)


def read_password() -> str:
    """Read a password from standard input: one line, without its line end and otherwise as it is (PW-2)."""
    line = sys.stdin.buffer.readline().removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise typer.BadParameter("There is no password on standard input.", param_hint="--password-stdin")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise typer.BadParameter("The password is not UTF-8.", param_hint="--password-stdin") from None


def confirm(question: str) -> None:
    """Go on only after a yes. Raises BadParameter without a terminal, Exit for any other answer."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("Nobody can be asked without a terminal; --yes goes ahead.")
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        typer.echo("Nothing was done.", err=True)
        raise typer.Exit(1)
