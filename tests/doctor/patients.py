"""An installation that is well, until a test plants something."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ostiary.db import open_database
from ostiary.doctor.examining import examine
from ostiary.doctor.faults import Finding
from ostiary.doctor.patient import Patient
from ostiary.settings import Settings
from tests.clock import FakeClock
from tests.server import Server

ROOM = 10_000_000_000


@dataclass
class Case:
    """What the doctor is shown."""

    data_dir: Path
    database_url: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)
    url: str | None = None
    free_bytes: int = ROOM

    @property
    def settings(self) -> Settings:
        return Settings.load(data_dir=self.data_dir, database_url=self.database_url, **self.options)

    @property
    def mounts(self) -> Path:
        return self.data_dir.parent / "mounts"

    def findings(self) -> list[Finding]:
        """What the doctor finds."""
        settings = self.settings

        async def run() -> list[Finding]:
            database = open_database(settings)
            patient = Patient(settings, database, self.clock, self.url, lambda _: self.free_bytes, self.mounts)
            try:
                return [finding async for finding in examine(patient)]
            finally:
                await database.close()

        return asyncio.run(run())

    def names(self) -> set[str]:
        return {finding.fault.name for finding in self.findings()}


Plant = Callable[[Case], None]


def make_well(data_dir: Path, database_url: str | None) -> None:
    """Let a server make an installation, and put a copy of today beside it."""
    with Server(Case(data_dir, database_url).settings):
        pass
    backups = data_dir / "backups"
    backups.mkdir(mode=0o700, exist_ok=True)
    copy = backups / "today"
    copy.touch(mode=0o600)
    copy.chmod(0o600)


def copied(well: Path, directory: Path) -> Case:
    """A case of its own, on a copy."""
    shutil.copytree(well, directory / "data")
    return Case(directory / "data")
