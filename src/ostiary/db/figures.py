"""What can be told of a database's use at a moment."""

from typing import NamedTuple


class Figures(NamedTuple):
    """Counts since the start, and how things stand."""

    most: int
    """Connections there may be; for SQLite, readers."""
    in_use: int
    waiting: int
    """Reads, and on PostgreSQL writes, that wait for a connection."""
    failures: int
    """Reads and writes that were given up."""
    retries: int = 0
    writes_waiting: int | None = None
    """Those that wait for SQLite's writer. None where there is none, as in the next two."""
    commits: int | None = None
    committed: int | None = None
    """Writes in those commits."""
