"""`ostiary audit list` and `ostiary audit export`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO, TypeAlias

import typer

from ostiary.audit.events import Event
from ostiary.audit.listing import AuditPage, Wanted, count_rows, list_rows, rows_after
from ostiary.audit.schemas import audit_out
from ostiary.cli.moving.bar import bar
from ostiary.cli.moving.exports import opened_target
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, with_database
from ostiary.cli.output import print_json, print_table
from ostiary.db import Database

MOST_LISTED = 10_000
PAGE = 2000

_FORMATS = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]
UserId: TypeAlias = Annotated[int | None, typer.Option(min=1, help="Only what concerns the user with this id.")]
ActorId: TypeAlias = Annotated[int | None, typer.Option(min=1, help="Only what the user with this id did.")]
EventName: TypeAlias = Annotated[Event | None, typer.Option(help="Only this event.", show_choices=False)]
Since: TypeAlias = Annotated[datetime | None, typer.Option(formats=_FORMATS, help="Only from this moment on, UTC.")]
Until: TypeAlias = Annotated[datetime | None, typer.Option(formats=_FORMATS, help="Only before this moment, UTC.")]


def list_events(
    user_id: UserId = None,
    actor_id: ActorId = None,
    event: EventName = None,
    since: Since = None,
    until: Until = None,
    skip: Annotated[int, typer.Option(min=0, max=2**53 - 1, help="How many to leave out.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=MOST_LISTED, help="How many to print at most.")] = 100,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Print events, the newest first."""
    wanted = Wanted(user_id, actor_id, event, _in_utc(since), _in_utc(until))

    async def work(database: Database) -> AuditPage:
        return await database.read(list_rows, wanted, skip=skip, limit=limit)

    page = with_database(work, data_dir=data_dir, database_url=database_url)
    shown = [audit_out(row) for row in page.items]
    if as_json:
        print_json({"items": shown, "total": page.total, "skip": skip, "limit": limit})
        return
    print_table(
        ("Time (UTC)", "Event", "By", "User", "From", "Details"),
        (
            (
                each["at"],
                each["event"],
                str(each["actor"] or ""),
                str(each["target"] or ""),
                each["ip"] or "",
                json.dumps(each["details"]) if each["details"] else "",
            )
            for each in shown
        ),
    )
    more = f"; more with --skip {skip + len(shown)}" if page.has_next else ""
    of = f"more than {page.total}" if page.is_capped else str(page.total)
    typer.echo(f"{len(shown)} of {of} events{more}", err=True)


def export_events(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", dir_okay=False, help="The file, made for its owner alone.")
    ] = None,
    user_id: UserId = None,
    actor_id: ActorId = None,
    event: EventName = None,
    since: Since = None,
    until: Until = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Write events as JSON Lines, the oldest first; without FILE, to standard output."""
    wanted = Wanted(user_id, actor_id, event, _in_utc(since), _in_utc(until))

    async def work(database: Database) -> int:
        with opened_target(file, force=force) as target:
            return await _export(database, target, wanted)

    count = with_database(work, data_dir=data_dir, database_url=database_url)
    typer.echo(f"{count} events were exported.", err=True)


async def _export(database: Database, target: BinaryIO, wanted: Wanted) -> int:
    """Write page after page; answer how many events there were."""
    total = await database.read(count_rows, wanted)
    count, last = 0, ""
    with bar(total, what="events") as shown:
        while rows := await database.read(rows_after, wanted, last, limit=PAGE):
            target.write(b"".join(json.dumps(audit_out(row)).encode() + b"\n" for row in rows))
            last = rows[-1].id
            count += len(rows)
            shown.show(completed=count, users=count)
    return count


def _in_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
