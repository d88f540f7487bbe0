"""The `ostiary` command: its subcommands, and what is said when one of them cannot go on."""

import sys

import typer

from ostiary.cli.serve import serve
from ostiary.credentials.breached import BreachedFileError
from ostiary.crypto.sealed import SealBroken
from ostiary.crypto.secret import SecretError
from ostiary.db import Misconfigured, Unreachable
from ostiary.problems import Problem
from ostiary.settings import SettingsError

REFUSED, WRONG_SETTINGS, SURROUNDINGS, INTERRUPTED = 1, 2, 3, 130

cli = typer.Typer(
    name="ostiary",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli.command("serve")(serve)


@cli.callback()
def ostiary() -> None:
    """Accounts and authentication as a service that you run yourself."""


def main() -> None:
    """Run the command line; what goes wrong as foreseen is one clear line and an exit code."""
    try:
        cli()
    except SettingsError as error:
        _leave(str(error), WRONG_SETTINGS)
    except Unreachable as problem:
        _leave(f"The database cannot be reached: {problem.reason}", SURROUNDINGS)
    except Problem as problem:
        _leave(problem.detail, REFUSED)
    except (Misconfigured, SecretError, BreachedFileError) as error:
        _leave(str(error), SURROUNDINGS)
    except SealBroken:
        _leave("A sealed value in the database cannot be opened: it was changed, or belongs elsewhere", SURROUNDINGS)
    except OSError as error:
        _leave(f"{error.filename or 'The system'}: {error.strerror or error}", SURROUNDINGS)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _leave(line: str, code: int) -> None:
    print(f"ostiary: {line}", file=sys.stderr)  # noqa: T201 - said to whoever typed the command
    sys.exit(code)
