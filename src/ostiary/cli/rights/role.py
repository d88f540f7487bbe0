"""`ostiary role …`: making roles, and who has them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias

import typer

from ostiary.audit.origin import OPERATOR
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, with_app, with_database
from ostiary.cli.output import print_json, print_table
from ostiary.cli.users.who import Who, find, name_of
from ostiary.clock import SystemClock
from ostiary.context import App
from ostiary.db import Database
from ostiary.problems import NotFound
from ostiary.roles.definitions import create_role, delete_role, parse_role
from ostiary.roles.granting import Act, change_roles, grant_role, revoke_role
from ostiary.roles.models import Role, existing_role, list_roles
from ostiary.roles.schemas import role_out
from ostiary.users.listing import Scope
from ostiary.users.models import User
from ostiary.web.permissions import ALL_RIGHTS, PERMISSIONS

cli = typer.Typer(no_args_is_help=True, add_completion=False)

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The role's name.")]


@cli.command("list")
def list_(
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Print all roles with what they permit."""
    found = with_database(lambda database: database.read(list_roles), data_dir=data_dir, database_url=database_url)
    if as_json:
        print_json({"items": [role_out(role) for role in found], "total": len(found)})
        return
    rows = ((role.name, " ".join(role.permissions), role.description) for role in found)
    print_table(("Name", "Permissions", "Description"), rows)


@cli.command()
def create(
    name: Name,
    permission: Annotated[
        list[str] | None,
        typer.Option(help=f"What it permits; may be given more than once. One of {', '.join(PERMISSIONS)}."),
    ] = None,
    description: Annotated[str | None, typer.Option(help="What it is for: one line.")] = None,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Make a role."""
    wanted = parse_role(name=name, description=description or "", permissions=permission or [])

    async def work(database: Database) -> Role:
        return await database.write(create_role, ALL_RIGHTS, wanted, origin=OPERATOR, now=SystemClock().now())

    role = with_database(work, data_dir=data_dir, database_url=database_url)
    _tell(role, f"Role {role.name} was made.", as_json=as_json)


@cli.command()
def delete(
    name: Name,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Remove a role that nobody has."""

    async def work(database: Database) -> Role:
        role = await _existing(database, name)
        await database.write(delete_role, ALL_RIGHTS, name, origin=OPERATOR, now=SystemClock().now())
        return role

    role = with_database(work, data_dir=data_dir, database_url=database_url)
    _tell(role, f"Role {role.name} is deleted.", as_json=as_json)


@cli.command()
def grant(
    who: Who,
    name: Name,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Give a user a role."""
    user, role = with_app(_change_roles(grant_role, who, name), data_dir=data_dir, database_url=database_url)
    _tell(role, f"{name_of(user)} has the role {role.name}.", as_json=as_json)


@cli.command()
def revoke(
    who: Who,
    name: Name,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Take a role from a user."""
    user, role = with_app(_change_roles(revoke_role, who, name), data_dir=data_dir, database_url=database_url)
    _tell(role, f"{name_of(user)} does not have the role {role.name} any more.", as_json=as_json)


def _change_roles(act: Act, who: str, name: str) -> Callable[[App], Awaitable[tuple[User, Role]]]:
    """Answer what finds a user and a role, and gives or takes it; the running server mails the user about it."""

    async def work(app: App) -> tuple[User, Role]:
        user, role = await find(app.db, who), await _existing(app.db, name)
        try:
            await app.db.write(
                change_roles,
                act,
                ALL_RIGHTS,
                user.id,
                name,
                scope=Scope(),
                sealer=app.sealer,
                origin=OPERATOR,
                now=app.clock.now(),
            )
        except NotFound:
            if act is grant_role:  # one of the two went in the meantime
                raise
            raise NotFound(f"{name_of(user)} does not have the role {name}") from None
        return user, role

    return work


async def _existing(database: Database, name: str) -> Role:
    try:
        return await database.read(existing_role, name)
    except NotFound:
        raise NotFound(f"There is no role of this name: {name}") from None


def _tell(role: Role, line: str, *, as_json: bool) -> None:
    if as_json:
        print_json(role_out(role))
    else:
        typer.echo(line)
