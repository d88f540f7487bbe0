"""What an upgrade would do, told beforehand."""

from dataclasses import dataclass
from pathlib import Path

from ostiary.db import Database
from ostiary.db.history.revisions import Revision
from ostiary.db.schema import HEAD, Standing, State, backups_in, revisions_after, standing
from ostiary.db.sqlite import SQLiteDatabase
from ostiary.settings import Settings


@dataclass(frozen=True, slots=True)
class Plan:
    """How a database stands, the steps that are before it, and the copy that is made first."""

    place: str
    stands: Standing
    needed: str
    steps: tuple[Revision, ...]
    backup: str
    """Where the copy goes, or how to make one; empty where nothing is to be copied."""
    copied_bytes: int | None

    @property
    def is_rolling(self) -> bool:
        """Whether servers of the version before may go on meanwhile."""
        return all(step.is_compatible for step in self.steps)


async def plan(database: Database, settings: Settings) -> Plan:
    """Say what an upgrade would do; nothing is made or changed. Raises Unreachable."""
    stands = await standing(database)
    pending = stands.state in {State.EMPTY, State.OLDER}
    steps = tuple(revisions_after(stands.revision)) if pending else ()
    copied, size = "", None
    if stands.state is State.OLDER:
        if isinstance(database, SQLiteDatabase):
            copied, size = str(backups_in(settings)), _size(database.path)
        else:
            copied = "nothing is copied by itself: take a backup first, with `ostiary db backup` of the version before"
    return Plan(database.place, stands, HEAD, steps, copied, size)


def _size(path: Path) -> int:
    """How large a copy may become; what waits in the write-ahead log counts too."""
    logged = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (logged.stat().st_size if logged.exists() else 0)
