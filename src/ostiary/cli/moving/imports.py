"""`ostiary user import`: users from a file, with the password hashes that they have."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from ostiary.audit.origin import OPERATOR
from ostiary.cli.moving.bar import FIRST_STEP, Bar, Pace, bar
from ostiary.cli.moving.rejects import RejectFile, beside
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, with_database
from ostiary.cli.output import print_json
from ostiary.clock import SystemClock
from ostiary.db import Database
from ostiary.transfer.forms import Form
from ostiary.transfer.importing import Rehearsal, import_chunk
from ostiary.transfer.models import Progress, begin, forget, progress_of
from ostiary.transfer.source import Rejected, Source
from ostiary.users.bulk import prepare
from ostiary.users.counting import fold_counts

SOME_LEFT_OUT = 4
"""The exit code of an import or export that was done, though not everything could go with it."""

MOST_SHOWN = 20
FOLDED_AT_ONCE = 2000
SUFFIXES = {".jsonl": Form.JSONL, ".ndjson": Form.JSONL, ".csv": Form.CSV}

File: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The file of users.")
]
FormOption: TypeAlias = Annotated[
    Form | None, typer.Option("--format", help="`jsonl` or `csv`, where the name of the file does not tell.")
]


@dataclass(frozen=True, slots=True)
class Result:
    """What an import did."""

    progress: Progress
    first: Progress
    """Where it stood when the command began."""
    rejects: Path | None
    seconds: float


def import_users(
    file: File,
    form: FormOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be rejected; nothing is written.")
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(help="Where rejected lines go, each with number and reason. [beside FILE, NAME.rejects.jsonl]"),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Start over with a file that was imported before, in whole or in part.")
    ] = False,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Add the users of a file, JSON Lines or CSV, with the password hashes that they have.

    Every line is checked as sign-up checks; bad ones are reported and written to the reject file, good ones go in. The
    same command again goes on where one that was cut off has stopped. Exit code 4: done, but some lines were rejected.
    """
    form = form or form_of(file)

    async def work(database: Database) -> Result:
        with file.open("rb") as opened:
            source = Source(opened, form)
            reject_file = RejectFile(rejects or beside(file, form), source.reader)
            with bar(source.size) as shown:
                run = _Run(database, source, reject_file, shown)
                return await (run.rehearse() if dry_run else run.carry_out(again=again))

    result = with_database(work, data_dir=data_dir, database_url=database_url)
    _tell(file, result, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(SOME_LEFT_OUT if result.progress.rejected else 0)


def form_of(file: Path) -> Form:
    """Answer the form that a file's name tells. Raises BadParameter."""
    form = SUFFIXES.get(file.suffix.lower())
    if form is None:
        raise typer.BadParameter(f"The name does not end in {', '.join(SUFFIXES)}: give --format.")
    return form


class _Run:
    """One import at work."""

    def __init__(self, database: Database, source: Source, reject_file: RejectFile, shown: Bar) -> None:
        self._database = database
        self._source = source
        self._reject_file = reject_file
        self._bar = shown
        self._clock = SystemClock()
        self._reported = 0

    async def carry_out(self, *, again: bool) -> Result:
        """Take the file chunk by chunk from where it stands. Raises ImportElsewhere, FileInTheWay."""
        database = self._database
        first = progress = await self._begin(again=again)
        await database.write(prepare)
        self._source.skip_to(lines=first.lines, offset=first.bytes)
        pace = Pace(database.engine)
        while progress.finished_at is None:
            chunk = self._source.next_chunk(pace.users, now=self._clock.now())
            with pace:
                progress, rejected = await database.write(
                    import_chunk,
                    progress,
                    chunk,
                    self._reject_file.keep,
                    origin=OPERATOR,
                    now=self._clock.now(),
                )
            self._report(rejected, most=MOST_SHOWN)
            self._bar.show(completed=progress.bytes, users=progress.added - first.added)
        if first.finished_at is None:
            while await database.write(fold_counts, limit=FOLDED_AT_ONCE) == FOLDED_AT_ONCE:
                pass  # a running server does this too, but there may be none
        return Result(progress, first, self._reject_file.path if progress.rejected else None, self._bar.seconds)

    async def _begin(self, *, again: bool) -> Progress:
        """Answer where the import stands, once it is sure that it may go on from there."""
        fingerprint = self._source.fingerprint
        known = None if again else await self._database.read(progress_of, fingerprint)
        if known is not None and known.finished_at is not None:
            return known
        self._reject_file.check(known, again=again)
        if again:
            await self._database.write(forget, fingerprint)
            self._reject_file.clear()
        if known is not None and known.lines:
            typer.echo(f"Going on after line {known.lines}, where an earlier run stopped.", err=True)
        if known is not None:
            return known
        return await self._database.write(begin, fingerprint, now=self._clock.now())

    async def rehearse(self) -> Result:
        """Do all but write, from where the import would go on."""
        known = await self._database.read(progress_of, self._source.fingerprint)
        first = progress = known or Progress(self._source.fingerprint)
        self._source.skip_to(lines=first.lines, offset=first.bytes)
        rehearsal = Rehearsal()
        is_last = first.finished_at is not None
        while not is_last:
            chunk = self._source.next_chunk(FIRST_STEP, now=self._clock.now())
            rejected = await self._database.read(rehearsal.rehearse, chunk)
            self._report(rejected, most=None)
            progress = replace(
                progress,
                lines=chunk.end_line,
                bytes=chunk.end_bytes,
                added=progress.added + len(chunk.lines) + len(chunk.rejected) - len(rejected),
                rejected=progress.rejected + len(rejected),
            )
            self._bar.show(completed=progress.bytes, users=progress.added - first.added)
            is_last = chunk.is_last
        return Result(progress, first, None, self._bar.seconds)

    def _report(self, rejected: list[Rejected], *, most: int | None) -> None:
        """Say which lines were rejected and why; only the first of them where a file says it of all."""
        left = len(rejected) if most is None else max(most - self._reported, 0)
        for each in rejected[:left]:
            typer.echo(f"line {each.line.number}: {each.reason}", err=True)
        if most is not None and self._reported <= most < self._reported + len(rejected):
            typer.echo(f"and more, in {self._reject_file.path}", err=True)
        self._reported += len(rejected)


def _tell(file: Path, result: Result, *, dry_run: bool, as_json: bool) -> None:
    progress, first = result.progress, result.first
    added_now = progress.added - first.added
    was_finished = first.finished_at is not None
    if as_json:
        print_json(
            {
                "file": str(file),
                "dry_run": dry_run,
                "was_finished": was_finished,
                "resumed_after_line": first.lines,
                "lines": progress.lines,
                "added": progress.added,
                "added_now": added_now,
                "rejected": progress.rejected,
                "rejects": None if result.rejects is None else str(result.rejects),
                "seconds": round(result.seconds, 3),
            }
        )
        return
    counts = f"{progress.added} users in, {progress.rejected} lines rejected"
    if was_finished:
        typer.echo(f"{file} was imported already: {counts}. Nothing was done; --again starts over.")
    elif dry_run:
        typer.echo(f"{file} would end with {counts}. Nothing was written.")
    else:
        typer.echo(f"{file} is imported: {counts}, {int(added_now / max(result.seconds, 1e-9))} users/s.")
    if result.rejects is not None:
        typer.echo(f"The rejected lines are in {result.rejects}.", err=True)
