"""`ostiary user reset-password` and `ostiary user invite`: what an operator starts, for others to finish by mail."""

from typing import Annotated

import typer

from ostiary.administration.starting import Invited, invite, start_reset
from ostiary.audit.origin import OPERATOR
from ostiary.cli.options import DatabaseURL, DataDir, with_app
from ostiary.cli.users.who import Who, find, name_of
from ostiary.context import App
from ostiary.users.address import parse_email, parse_username
from ostiary.users.models import User

_OPERATOR = "operator"
"""How mails name whoever sits at the command line."""


def reset_password(
    who: Who,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Mail a user a link to choose a new password by; the running server sends it."""

    async def work(app: App) -> User:
        user = await find(app.db, who)
        await app.db.write(start_reset, app, user.id, by=_OPERATOR, origin=OPERATOR, now=app.clock.now())
        return user

    user = with_app(work, data_dir=data_dir, database_url=database_url)
    typer.echo(f"{name_of(user)} is mailed a link to choose a new password by.")


def invite_user(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Whom to invite.")],
    username: Annotated[str | None, typer.Option(help="A username to propose.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="A role to give; may be given several times.")] = None,
    language: Annotated[str, typer.Option(help="Language of the mail: `en` or `de`.")] = "en",
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Mail somebody an invitation to have an account; the running server sends it."""
    address = parse_email(email).address
    name = None if username is None else parse_username(username)
    invited = Invited(address, name, tuple(dict.fromkeys(role or ())))

    async def work(app: App) -> None:
        await app.db.write(invite, app, invited, by=_OPERATOR, origin=OPERATOR, language=language, now=app.clock.now())

    with_app(work, data_dir=data_dir, database_url=database_url)
    typer.echo(f"{address} is mailed an invitation, good for seven days.")
