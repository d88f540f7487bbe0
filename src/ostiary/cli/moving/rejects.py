"""The reject file: the lines that did not go in, in the form of the input, each with its number and the reason."""

import os
from pathlib import Path

from ostiary.problems import Forbidden
from ostiary.transfer.checking import ADDED_TO_REJECTS
from ostiary.transfer.forms import Form, Reader
from ostiary.transfer.models import Progress
from ostiary.transfer.source import Rejected

_MARK = ADDED_TO_REJECTS[0].encode()
_FIRST_LINE_BYTES = 64 * 1024


class FileInTheWay(Forbidden):
    """A file stands where we would write, or is not the one that we wrote."""

    detail = "A file is in the way"
    code = "file_in_the_way"


class RejectFile:
    """A file for its owner alone, as long as the committed progress of the import says and no longer."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.path = path
        self._reader = reader

    def check(self, progress: Progress | None, *, again: bool) -> None:
        """Refuse a file that this import may not write to, before anything is done. Raises FileInTheWay."""
        if progress is not None and progress.rejects_bytes:
            if not self._is_ours() or self.path.stat().st_size < progress.rejects_bytes:
                raise FileInTheWay(
                    f"{self.path} is not the reject file of the first part of this import: name that one with "
                    "--rejects, or start over with --again"
                )
        elif os.path.lexists(self.path):
            is_leftover = (progress is not None or again) and self._is_ours()
            if not is_leftover:
                raise FileInTheWay(f"{self.path} exists already: move it away, or name another with --rejects")

    def keep(self, rejected: list[Rejected], offset: int) -> int:
        """Cut the file to an offset, write lines from there on, and answer where they end; they are on disk then.

        No file is made for nothing, and one that would be empty is taken away.
        """
        if not rejected and not offset:
            if self._is_ours():
                self.path.unlink()
            return 0
        lines = [] if offset else [self._reader.rejects_header()]
        lines += [self._reader.rejected(each.line.text, each.line.number, each.reason) for each in rejected]
        text = b"".join(lines)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            file.truncate(offset)
            file.seek(offset)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return offset + len(text)

    def clear(self) -> None:
        """Take away what an import that starts over has left."""
        self.path.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        if self.path.is_symlink() or not self.path.is_file():
            return False
        with self.path.open("rb") as file:
            first = file.readline(_FIRST_LINE_BYTES)
        return not first or _MARK in first


def beside(file: Path, form: Form) -> Path:
    """Answer where the reject file is unless somebody says otherwise."""
    return file.with_name(f"{file.stem}.rejects.{form.value}")
