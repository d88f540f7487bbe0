"""What the doctor looks at."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ostiary.clock import Clock
from ostiary.db import Database
from ostiary.settings import Settings


@dataclass(frozen=True, slots=True)
class Patient:
    """An installation, and how its surroundings are asked."""

    settings: Settings
    database: Database
    clock: Clock
    url: str | None
    """Where a server should answer; None where that is not looked at."""
    free_bytes: Callable[[Path], int]
    mounts: Path
    """What is mounted where, as Linux writes it."""
