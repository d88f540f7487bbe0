"""`ostiary api-key …`: showing, making and revoking the keys that programs call with.

A running server knows at once: it reads a key at each call.
"""

from datetime import timedelta
from typing import Annotated

import typer

from ostiary.api_keys.ending import revoke_key
from ostiary.api_keys.format import new_key
from ostiary.api_keys.making import DEFAULT_LIFETIME, LONGEST_LIFETIME, make_key_for, wanted_key
from ostiary.api_keys.models import APIKey, KeyPage, key_by_id, keys_of
from ostiary.api_keys.schemas import key_out, new_key_out
from ostiary.audit.origin import OPERATOR
from ostiary.cli.asking import confirm
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, Yes, with_database
from ostiary.cli.output import print_json, print_table
from ostiary.cli.users.who import Who, find
from ostiary.clock import SystemClock
from ostiary.db import Database
from ostiary.problems import NotFound
from ostiary.users.schemas import timestamp

MOST_LISTED = 10_000

cli = typer.Typer(no_args_is_help=True, add_completion=False)


@cli.command("list")
def list_(
    user: Annotated[str | None, typer.Option(help="Only this user's: id, e-mail address or username.")] = None,
    skip: Annotated[int, typer.Option(min=0, max=2**53 - 1, help="How many to leave out.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=MOST_LISTED, help="How many to print at most.")] = 100,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Print keys, the newest first. Nobody can print the keys themselves: only hashes are stored."""

    async def work(database: Database) -> KeyPage:
        user_id = None if user is None else (await find(database, user)).id
        return await database.read(keys_of, user_id, skip=skip, limit=limit)

    page = with_database(work, data_dir=data_dir, database_url=database_url)
    if as_json:
        items = [{"user_id": key.user_id} | key_out(key) for key in page.items]
        print_json({"items": items, "total": page.total, "skip": skip, "limit": limit})
        return
    print_table(
        ("ID", "User", "Name", "Scopes", "Expires (UTC)", "Last used (UTC)"),
        (
            (
                key.id,
                str(key.user_id),
                key.name,
                " ".join(key.scopes),
                timestamp(key.expires_at),
                "never" if key.last_used_at is None else timestamp(key.last_used_at),
            )
            for key in page.items
        ),
    )
    after = skip + len(page.items)
    more = f"; more with --skip {after}" if page.items and after < page.total else ""
    typer.echo(f"{len(page.items)} of {page.total} API keys{more}", err=True)


@cli.command()
def create(
    who: Who,
    name: Annotated[str, typer.Option(help="What it is for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="A permission that it may use, of those its owner holds. Repeatable.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=LONGEST_LIFETIME.days, help="How long it lives.")
    ] = DEFAULT_LIFETIME.days,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Make a key for a user and print it, the only time that it can be seen."""
    now = SystemClock().now()
    expires_at = now.replace(microsecond=0) + timedelta(days=days)
    wanted, new = wanted_key(name, scope or [], expires_at, now=now), new_key()

    async def work(database: Database) -> APIKey:
        owner = await find(database, who)
        return await database.write(make_key_for, owner.id, new, wanted, origin=OPERATOR, now=now)

    key = with_database(work, data_dir=data_dir, database_url=database_url)
    if as_json:
        print_json(new_key_out(key, new.plain))
        return
    typer.echo(f"Key {key.id} of user {key.user_id} is good until {timestamp(key.expires_at)} UTC:", err=True)
    typer.echo(new.plain)


@cli.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `ostiary api-key list` shows it.")],
    yes: Yes = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Refuse a key from now on, for good."""
    if not yes:
        confirm(f"Refuse API key {key_id} from now on?")

    async def work(database: Database) -> APIKey:
        key = await database.read(key_by_id, key_id)
        if key is None:
            raise NotFound(f"There is no API key {key_id}")
        now = SystemClock().now()
        return await database.write(revoke_key, key_id, owner_id=key.user_id, origin=OPERATOR, now=now)

    key = with_database(work, data_dir=data_dir, database_url=database_url)
    typer.echo(f"API key {key.id} ({key.name}) of user {key.user_id} is revoked.")
