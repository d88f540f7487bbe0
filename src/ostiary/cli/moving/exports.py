"""`ostiary user export`: users to a file that `ostiary user import` reads."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from ostiary.cli.moving.bar import bar
from ostiary.cli.moving.imports import SOME_LEFT_OUT, FormOption, form_of
from ostiary.cli.moving.rejects import FileInTheWay
from ostiary.cli.options import DatabaseURL, DataDir, with_database
from ostiary.db import Database
from ostiary.transfer.exporting import export_page, members_of_export
from ostiary.transfer.forms import Form, write_header, write_user
from ostiary.users.counting import find_places

PAGE = 5000


def export_users(
    passwords: Annotated[
        bool,
        typer.Option(
            "--passwords/--no-passwords",
            help="Whether password hashes go with them, which whoever has the file can try to guess. One must be said.",
        ),
    ],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", dir_okay=False, help="The file, made for its owner alone.")
    ] = None,
    form: FormOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Write all users in the order of their ids, as `ostiary user import` reads them; without FILE, to standard output.

    Each page of 5000 is one snapshot of the database; what changes during the export may be in it or not. Exit code 4:
    done, but some hashes were left out, as they are worth nothing without the pepper of this installation.
    """
    form = form or (Form.JSONL if file is None else form_of(file))

    async def work(database: Database) -> tuple[int, int]:
        with opened_target(file, force=force) as target:
            return await _export(database, target, form, with_passwords=passwords)

    users, bound = with_database(work, data_dir=data_dir, database_url=database_url)
    typer.echo(f"{users} users were exported" + ("." if passwords else ", without passwords."), err=True)
    if bound:
        typer.echo(
            f"{bound} of them without their hash: it was made with the pepper of this installation and is worth "
            "nothing in another. They need a new password there.",
            err=True,
        )
        raise typer.Exit(SOME_LEFT_OUT)


async def _export(database: Database, target: BinaryIO, form: Form, *, with_passwords: bool) -> tuple[int, int]:
    """Write page after page; answer how many users there were, and how many had a hash that cannot be moved."""
    names = members_of_export(with_passwords=with_passwords)
    total, _ = await database.read(find_places, ())
    target.write(write_header(form, names))
    users = bound = last_id = 0
    with bar(total) as shown:
        while True:
            page = await database.read(export_page, last_id, limit=PAGE, with_passwords=with_passwords)
            if not page.items:
                return users, bound
            target.write(b"".join(write_user(form, names, members) for members in page.items))
            last_id = page.last_id
            users += len(page.items)
            bound += page.bound
            shown.show(completed=users, users=users)


@contextmanager
def opened_target(file: Path | None, *, force: bool) -> Iterator[BinaryIO]:
    """Open what the block writes to; a file is complete under its name, or not there. Raises FileInTheWay."""
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if file.exists() and not force:
        raise FileInTheWay(f"{file} exists already: --force replaces it")
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
