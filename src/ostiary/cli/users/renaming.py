"""`ostiary user rename`."""

from typing import Annotated

import typer

from ostiary.administration.changing import Changes, change
from ostiary.audit.origin import OPERATOR
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, with_database
from ostiary.cli.output import print_json
from ostiary.cli.users.who import Who, find, name_of
from ostiary.clock import SystemClock
from ostiary.db import Database
from ostiary.users.address import parse_username
from ostiary.users.models import User
from ostiary.users.schemas import user_out


def rename(
    who: Who,
    username: Annotated[str, typer.Argument(metavar="USERNAME", help="The new username.")],
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Give a user another username."""
    changes = Changes(username=parse_username(username))

    async def work(database: Database) -> User:
        user = await find(database, who)
        return await database.write(change, user, changes, origin=OPERATOR, now=SystemClock().now())

    user = with_database(work, data_dir=data_dir, database_url=database_url)
    if as_json:
        print_json(user_out(user))
    else:
        typer.echo(f"{name_of(user)} has another username.")
