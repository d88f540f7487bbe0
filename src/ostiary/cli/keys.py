"""`ostiary keys …`: showing, rotating and revoking the keys that sign access tokens (SK-4).

A running server reads the keys every few seconds; it need not be restarted.
"""

from typing import Annotated, Any

import typer

from ostiary.audit.origin import OPERATOR
from ostiary.cli.asking import confirm
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, Yes, with_app, with_database
from ostiary.cli.output import print_json, print_table
from ostiary.clock import SystemClock
from ostiary.context import App
from ostiary.crypto.jwk import generate_key
from ostiary.db import Database
from ostiary.keys.flows import add_key, revoke_key
from ostiary.keys.models import StoredKey, all_keys
from ostiary.keys.schedule import state_of
from ostiary.users.schemas import timestamp

cli = typer.Typer(no_args_is_help=True, add_completion=False)


@cli.command("list")
def list_(
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Print the keys, the oldest first.

    A key is published, then signing, then kept for checking, then retired; or revoked.
    """

    async def work(database: Database) -> list[StoredKey]:
        return await database.read(all_keys)

    keys = with_database(work, data_dir=data_dir, database_url=database_url)
    shown = [_shown(key, keys) for key in keys]
    if as_json:
        print_json(shown)
        return
    rows = [[str(value or "") for value in key.values()] for key in shown]
    print_table(("Kid", "Algorithm", "State", "Created (UTC)", "Signs from (UTC)", "Revoked (UTC)"), rows)


@cli.command()
def rotate(
    now: Annotated[bool, typer.Option("--now", help="Let it sign at once.")] = False,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Publish a new key, which signs from tomorrow on, when every verifier knows it."""

    async def work(app: App) -> StoredKey:
        key = generate_key(app.settings.signing_algorithm)
        return await app.db.write(add_key, key, app.sealer, at_once=now, origin=OPERATOR, now=app.clock.now())

    key = with_app(work, data_dir=data_dir, database_url=database_url)
    if as_json:
        print_json(_shown(key, [key]))
        return
    typer.echo(f"Key {key.kid} is published and signs from {timestamp(key.activates_at)} UTC on.")


@cli.command()
def revoke(
    kid: Annotated[str, typer.Argument(metavar="KID", help="The key's id, as `ostiary keys list` shows it.")],
    yes: Yes = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Refuse a key, and every token that it signed, at once. Clients refresh their tokens; nobody is signed out."""
    if not yes:
        confirm(f"Refuse every access token that key {kid} signed?")

    async def work(app: App) -> StoredKey | None:
        successor = generate_key(app.settings.signing_algorithm)
        return await app.db.write(revoke_key, kid, successor, app.sealer, origin=OPERATOR, now=app.clock.now())

    successor = with_app(work, data_dir=data_dir, database_url=database_url)
    typer.echo(f"Key {kid} is revoked." + (f" Key {successor.kid} signs from now on." if successor else ""))


def _shown(key: StoredKey, keys: list[StoredKey]) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "algorithm": key.algorithm,
        "state": state_of(key, keys, now=SystemClock().now()).value,
        "created_at": timestamp(key.created_at),
        "activates_at": timestamp(key.activates_at),
        "revoked_at": None if key.revoked_at is None else timestamp(key.revoked_at),
    }
