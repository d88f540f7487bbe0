"""A file of users on its way in: what tells it from others, and its lines, a bounded number at a time."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BufferedReader
from typing import NamedTuple

from ostiary.problems import InvalidInput
from ostiary.transfer.checking import Candidate, check
from ostiary.transfer.forms import MOST_LINE_BYTES, Form, Reader, reader_of

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SKIPPED_BYTES = 1024 * 1024


class Line(NamedTuple):
    """One line, without its end."""

    number: int
    text: bytes | None
    """None: too long to be kept."""


class Rejected(NamedTuple):
    """A line that does not go in, and why."""

    line: Line
    reason: str


@dataclass(slots=True)
class Chunk:
    """Some lines in a row, judged one by one."""

    candidates: list[Candidate] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    """One for each candidate."""
    rejected: list[Rejected] = field(default_factory=list)
    end_line: int = 0
    end_bytes: int = 0
    is_last: bool = False

    @property
    def roles(self) -> set[str]:
        """The names of all roles that anybody in it is to have."""
        return {role for candidate in self.candidates for role in candidate.roles}

    def without(self, refused: Sequence[Rejected]) -> "Chunk":
        """Answer the same with some of its lines rejected."""
        if not refused:
            return self
        left_out = {each.line.number for each in refused}
        kept = [at for at, line in enumerate(self.lines) if line.number not in left_out]
        return replace(
            self,
            candidates=[self.candidates[at] for at in kept],
            lines=[self.lines[at] for at in kept],
            rejected=[*self.rejected, *refused],
        )


class Source:
    """An open file of users, read from its beginning or from where an earlier import stopped."""

    def __init__(self, file: BufferedReader, form: Form) -> None:
        self.reader: Reader = reader_of(form)
        self.fingerprint, self.size = _fingerprint(file, form)
        self._file = file
        self._number = 0
        file.seek(0)
        if file.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
            file.seek(0)
        if self.reader.has_header:
            header = next(self._lines(1), None)
            if header is None or header.text is None:
                raise InvalidInput("The first line must name the columns: email, username and others")
            self.reader.read_header(header.text)

    def skip_to(self, *, lines: int, offset: int) -> None:
        """Go on after what was imported already; an offset of nought is the beginning."""
        if offset:
            self._file.seek(offset)
            self._number = lines

    def next_chunk(self, most_lines: int, *, now: datetime) -> Chunk:
        """Read and judge the next lines; lines with nothing on them count and are passed over."""
        chunk = Chunk()
        members_of = self.reader.members
        for line in self._lines(most_lines):
            if line.text is None:
                chunk.rejected.append(Rejected(line, f"the line is longer than {MOST_LINE_BYTES} bytes"))
                continue
            if not line.text or line.text.isspace():
                continue
            try:
                candidate = check(members_of(line.text), now=now)
            except InvalidInput as problem:
                chunk.rejected.append(Rejected(line, problem.detail))
            else:
                chunk.candidates.append(candidate)
                chunk.lines.append(line)
        chunk.end_line, chunk.end_bytes = self._number, self._file.tell()
        chunk.is_last = chunk.end_bytes >= self.size
        return chunk

    def _lines(self, most: int) -> Iterator[Line]:
        for _ in range(most):
            text: bytes | None = self._file.readline(MOST_LINE_BYTES + 1)
            if not text:
                return
            self._number += 1
            if len(text) > MOST_LINE_BYTES and not text.endswith(b"\n"):
                self._skip_line()
                text = None
            yield Line(self._number, None if text is None else text.rstrip(b"\r\n"))

    def _skip_line(self) -> None:
        while (part := self._file.readline(_SKIPPED_BYTES)) and not part.endswith(b"\n"):
            pass


def _fingerprint(file: BufferedReader, form: Form) -> tuple[str, int]:
    """Answer what no other content has, nor the same read in another form, and how many bytes it is."""
    digest = hashlib.file_digest(file, "sha256")
    size = file.tell()
    digest.update(f"{form.value}:{size}".encode())
    return digest.hexdigest(), size
