"""`ostiary user …`: making, showing and changing users."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from ostiary.accounts.closing import close_account
from ostiary.audit.origin import OPERATOR
from ostiary.cli.asking import ask_password, confirm, read_password
from ostiary.cli.moving.exports import export_users
from ostiary.cli.moving.imports import import_users
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, Yes, with_app, with_database
from ostiary.cli.output import print_facts, print_json, yes_or_no
from ostiary.cli.users.listing import list_users
from ostiary.cli.users.renaming import rename
from ostiary.cli.users.sessions import end_sessions, list_sessions
from ostiary.cli.users.starting import invite_user, reset_password
from ostiary.cli.users.who import Who, find, name_of
from ostiary.clock import SystemClock
from ostiary.context import App
from ostiary.db import Database
from ostiary.login.deactivation import keep_out
from ostiary.login.signup import create as create_user
from ostiary.login.signup import prepare
from ostiary.login.throttle import unlock as clear_throttle
from ostiary.roles.models import roles_of
from ostiary.users.accounts import set_active, set_superuser
from ostiary.users.models import User
from ostiary.users.schemas import user_out

cli = typer.Typer(no_args_is_help=True, add_completion=False)

cli.command("import")(import_users)
cli.command("export")(export_users)
cli.command("list")(list_users)
cli.command("sessions")(list_sessions)
cli.command("end-sessions")(end_sessions)
cli.command("rename")(rename)
cli.command("reset-password")(reset_password)
cli.command("invite")(invite_user)


@cli.command()
def create(
    email: Annotated[str, typer.Option(help="The e-mail address.")],
    username: Annotated[str, typer.Option(help="The username.")],
    superuser: Annotated[bool, typer.Option("--superuser", help="Make a superuser.")] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input: one line.")
    ] = False,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Make a user, as sign-up does. Where there is no installation yet, one is made."""
    password = read_password() if password_stdin else ask_password()

    async def work(app: App) -> User:
        new = await prepare(app, email=email, username=username, password=password)
        return await app.db.write(create_user, new, is_superuser=superuser, origin=OPERATOR, now=app.clock.now())

    user = with_app(work, data_dir=data_dir, database_url=database_url, may_begin=True)
    _tell(user, "was made, a superuser" if superuser else "was made", as_json=as_json)


@cli.command()
def show(
    who: Who,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Print one user, with his roles."""

    async def work(database: Database) -> dict[str, Any]:
        user = await find(database, who)
        return user_out(user) | {"roles": await database.read(roles_of, user.id)}

    facts = with_database(work, data_dir=data_dir, database_url=database_url)
    if as_json:
        print_json(facts)
    else:
        print_facts((name, _fact(value)) for name, value in facts.items())


@cli.command()
def promote(
    who: Who,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Make a user a superuser."""

    async def work(database: Database, user: User) -> User:
        return await database.write(set_superuser, user.id, is_superuser=True, origin=OPERATOR, now=SystemClock().now())

    user = with_database(_on(who, work), data_dir=data_dir, database_url=database_url)
    _tell(user, "is a superuser", as_json=as_json)


@cli.command()
def demote(
    who: Who,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Make a superuser an ordinary user; the last active one stays one."""

    async def work(database: Database, user: User) -> User:
        return await database.write(
            set_superuser, user.id, is_superuser=False, origin=OPERATOR, now=SystemClock().now()
        )

    user = with_database(_on(who, work), data_dir=data_dir, database_url=database_url)
    _tell(user, "is no superuser", as_json=as_json)


@cli.command()
def activate(
    who: Who,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Let a user sign in again. Earlier sessions stay ended."""

    async def work(database: Database, user: User) -> User:
        return await database.write(set_active, user.id, is_active=True, origin=OPERATOR, now=SystemClock().now())

    user = with_database(_on(who, work), data_dir=data_dir, database_url=database_url)
    _tell(user, "is active", as_json=as_json)


@cli.command()
def deactivate(
    who: Who,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Keep a user out, and end his sessions and API keys at once; not the last active superuser."""

    async def work(app: App) -> User:
        user = await find(app.db, who)
        return await app.db.write(keep_out, user.id, sealer=app.sealer, origin=OPERATOR, now=app.clock.now())

    user = with_app(work, data_dir=data_dir, database_url=database_url)
    _tell(user, "is deactivated, all sessions and API keys ended", as_json=as_json)


@cli.command()
def unlock(
    who: Who,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Forget the failed logins of a user, so that he gets in from a new place although his account was attacked."""

    async def work(database: Database, user: User) -> User:
        await database.write(clear_throttle, user.id, origin=OPERATOR, now=SystemClock().now())
        return user

    user = with_database(_on(who, work), data_dir=data_dir, database_url=database_url)
    _tell(user, "may log in from anywhere", as_json=as_json)


@cli.command()
def delete(
    who: Who,
    yes: Yes = False,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Remove a user with everything that belongs to him, for good; not the last active superuser."""
    if not yes:
        user = with_database(lambda database: find(database, who), data_dir=data_dir, database_url=database_url)
        confirm(f"Delete {name_of(user)}, and everything that belongs to this account, for good?")
        who = str(user.id)

    async def work(app: App) -> User:
        user = await find(app.db, who)
        await app.db.write(close_account, user.id, sealer=app.sealer, origin=OPERATOR, now=app.clock.now())
        return user

    user = with_app(work, data_dir=data_dir, database_url=database_url)
    _tell(user, "is deleted", as_json=as_json)


def _on(who: str, work: Callable[[Database, User], Awaitable[User]]) -> Callable[[Database], Awaitable[User]]:
    """Find somebody, and do something with him."""

    async def find_and_work(database: Database) -> User:
        return await work(database, await find(database, who))

    return find_and_work


def _tell(user: User, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(user_out(user))
    else:
        typer.echo(f"{name_of(user)} {what}.")


def _fact(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return yes_or_no(value) if isinstance(value, bool) else str(value)
