"""Whom a command speaks of."""

from typing import Annotated, TypeAlias

import typer

from ostiary.db import Database
from ostiary.problems import NotFound
from ostiary.users.accounts import find_user
from ostiary.users.models import User

Who: TypeAlias = Annotated[str, typer.Argument(metavar="WHO", help="Id, e-mail address or username.")]


async def find(database: Database, who: str) -> User:
    """Answer the user whom somebody named. Raises NotFound."""
    try:
        return await database.read(find_user, who)
    except NotFound:
        raise NotFound(f"There is no user with this id, e-mail address or username: {who}") from None


def name_of(user: User) -> str:
    """Name a user so that nobody can be taken for another."""
    return f"User {user.id} ({user.email}, {user.username})"
