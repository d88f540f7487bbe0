"""`ostiary db verify`."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from sqlalchemy import Connection

from ostiary.app import known_secret
from ostiary.audit.sealing.chain import SealingKeys
from ostiary.audit.sealing.verifying import verify as verify_log
from ostiary.audit.worker import seal_all
from ostiary.cli.db.backing_up import SUFFIX, about
from ostiary.cli.db.restoring import restored
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, load_settings
from ostiary.cli.output import print_json
from ostiary.clock import SystemClock
from ostiary.crypto.sealed import SealBroken, Sealer
from ostiary.crypto.secret import Secret
from ostiary.db import Database, Misconfigured, open_database
from ostiary.db.backups.file import Header
from ostiary.db.backups.shape import BadBackup
from ostiary.keys.flows import unsealed
from ostiary.keys.models import all_keys
from ostiary.settings import Settings
from ostiary.users.counting import are_counted


def verify(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="The backup. [the newest in DATA_DIR/backups]"
        ),
    ] = None,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Restore a backup into a temporary place, and look whether everything in it is as it must be.

    Rows, keys, users' counts and the audit log are checked; the installation is not touched. The place is under TMPDIR
    and needs as much room as the database. Exit code 1: the backup cannot be relied on; each finding is a line.
    """
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    secret = known_secret(settings)
    chosen = file or _newest(settings.data_dir / "backups")
    header, findings = asyncio.run(_drill(chosen, settings, secret))
    if as_json:
        print_json({"file": str(chosen), "findings": findings, **({} if header is None else about(header))})
    else:
        for finding in findings:
            typer.echo(finding)
    if header is None or findings:
        typer.echo(f"{chosen} cannot be relied on: {len(findings)} findings.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{chosen} can be restored: {header.rows['users']} users, as of {header.made_at}.", err=True)


def _newest(directory: Path) -> Path:
    """Answer the newest backup by its name, which begins with the moment."""
    found = sorted(directory.glob(f"ostiary-*{SUFFIX}"))
    if not found:
        raise Misconfigured(f"there is no backup in {directory}: name one, or make one by `ostiary db backup`")
    return found[-1]


async def _drill(file: Path, settings: Settings, secret: Secret) -> tuple[Header | None, list[str]]:
    """Restore the backup on SQLite, whichever engine it is of: what it holds is the same."""
    with TemporaryDirectory(prefix="ostiary-verify-") as directory:
        place = settings.model_copy(
            update={"data_dir": Path(directory), "database_url": None, "database_owner_url": None}
        )
        try:
            header = await restored(file, place, secret, finish=_leave_alone, now=SystemClock().now())
        except BadBackup as problem:
            return None, [problem.detail]
        database = open_database(place)
        try:
            return header, [finding async for finding in _findings(database, secret)]
        finally:
            await database.close()


async def _findings(database: Database, secret: Secret) -> AsyncIterator[str]:
    """Say in a line each what is not as it must be, beyond what restoring has looked at."""
    if not await database.read(are_counted):
        yield "the counts of users are not those of the users"
    sealer = Sealer(secret, "sealing")
    for kid in await database.read(_broken_keys, sealer):
        yield f"signing key {kid} cannot be unsealed with the secret"
    keys = SealingKeys(secret)
    await seal_all(database, keys, SystemClock())
    async for finding in verify_log(database, keys, (), show=lambda *_: None):
        yield f"audit log: {finding}"


def _broken_keys(connection: Connection, sealer: Sealer) -> list[str]:
    broken = []
    for key in all_keys(connection):
        try:
            unsealed(key, sealer)
        except SealBroken:
            broken.append(key.kid)
    return broken


def _leave_alone(_: Connection, __: Header) -> None:
    """Nothing is to be done to a copy that nobody serves."""
