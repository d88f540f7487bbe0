"""`ostiary service-account …`: making accounts for programs, whose keys `ostiary api-key create` makes."""

from typing import Annotated

import typer

from ostiary.api_keys.service_accounts import make_service_account
from ostiary.audit.origin import OPERATOR
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, with_database
from ostiary.cli.output import print_json
from ostiary.cli.users.who import name_of
from ostiary.clock import SystemClock
from ostiary.db import Database
from ostiary.users.models import User
from ostiary.users.schemas import user_out
from ostiary.web.permissions import ALL_RIGHTS

cli = typer.Typer(no_args_is_help=True, add_completion=False)


@cli.callback()
def service_account() -> None:
    """Make accounts for programs."""


@cli.command()
def create(
    username: Annotated[str, typer.Argument(metavar="USERNAME", help="What the program is called.")],
    role: Annotated[list[str] | None, typer.Option(help="A role that it gets; may be given more than once.")] = None,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Make an account without a password, for a program; nobody can log in to it."""

    async def work(database: Database) -> User:
        now = SystemClock().now()
        return await database.write(make_service_account, ALL_RIGHTS, username, role or [], origin=OPERATOR, now=now)

    user = with_database(work, data_dir=data_dir, database_url=database_url)
    if as_json:
        print_json(user_out(user))
    else:
        typer.echo(f"{name_of(user)} was made. A key for it: ostiary api-key create {user.username} --name …")
