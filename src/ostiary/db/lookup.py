"""Hot questions: a single row by its key, asked for thousands of times a second, many at once.

They are text for each engine, since building a statement costs more than answering it. Text is allowed only in modules
called `hot.py`, and for each one a test shows that it gives what the same question in SQLAlchemy's words gives.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Lookup:
    """A question about one row, which many may ask at once of one snapshot.

    An item is the tuple of its parameters; the answer is its row, or None where there is none. The first column of the
    answer is never NULL in a row that exists.
    """

    sqlite: str
    """Answers one item, whose parameters are `?`. It is run for each, in one transaction."""
    postgresql: str
    """Answers all items in one statement. Parameter n is the array of the n-th members of the items; there is exactly
    one row for each item, in their order, of NULLs where nothing was found."""
