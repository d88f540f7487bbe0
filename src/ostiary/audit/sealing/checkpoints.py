"""Checkpoints: where the head was, signed, in a file beside the database, to which lines are only ever added.

The database alone cannot show that an older copy of it was put back, or that its newest rows were cut off together
with the head. A line in this file can, and so can the same line in the log.
"""

import fcntl
import hmac
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from ostiary.audit.sealing.chain import Head, SealingKeys

FILE = "audit-checkpoints.jsonl"
_LONGEST_LINE = 1024


class Checkpoint(NamedTuple):
    """Where the head was at a moment."""

    at: str
    place: int
    link: str
    key: str
    seal: str

    @property
    def is_sealed(self) -> tuple[str, int, str]:
        """What the seal is of."""
        return self.at, self.place, self.link


class Unreadable(NamedTuple):
    """A line that is none of ours."""

    line: int
    what: str


def checkpoint_of(head: Head, keys: SealingKeys, *, now: datetime) -> Checkpoint:
    """Sign where the head is."""
    at, link = now.isoformat(timespec="seconds").removesuffix("+00:00"), head.link.hex()
    return Checkpoint(at, head.place, link, keys.current, keys.seal("checkpoint", at, head.place, link).hex())


def append(path: Path, checkpoint: Checkpoint) -> None:
    """Add a checkpoint; it is on disk when this returns. What a crash left of a line is ended first.

    The file is for its owner alone. Raises OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file.fileno()).st_size
        is_torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
        line = json.dumps(checkpoint._asdict(), separators=(",", ":")).encode() + b"\n"
        file.write((b"\n" if is_torn else b"") + line)
        file.flush()
        os.fsync(file.fileno())


def checkpoints_in(path: Path, keys: SealingKeys) -> Iterator[Checkpoint | Unreadable]:
    """Read all checkpoints in order. A line of a secret that is no longer listed cannot be checked and is passed over.

    A line that a crash has cut off is passed over too: it ends nowhere, or another one was begun behind it. Raises
    FileNotFoundError, OSError.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            checkpoint = _parsed(line)
            if checkpoint is None:
                if line.endswith(b"\n") and line.rstrip(b"\n").endswith(b"}"):
                    yield Unreadable(number, "is no checkpoint")
            elif keys.knows(checkpoint.key):
                expected = keys.seal("checkpoint", *checkpoint.is_sealed, key=checkpoint.key).hex()
                is_ours = hmac.compare_digest(expected.encode(), checkpoint.seal.encode())
                yield checkpoint if is_ours else Unreadable(number, "has a seal that is not ours")


def _parsed(line: bytes) -> Checkpoint | None:
    try:
        members: Any = json.loads(line)
        checkpoint = Checkpoint(**members)
    except (ValueError, TypeError):
        return None
    kinds = tuple(map(type, checkpoint))
    return checkpoint if kinds == (str, int, str, str, str) else None
