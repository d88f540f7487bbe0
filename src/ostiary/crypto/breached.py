"""Passwords known from breaches, looked up in a file on this machine; nothing leaves it (PW-3, ASVS 6.2.12)."""

import hashlib
import os
from pathlib import Path
from typing import Self

from ostiary.problems import Unavailable

_HASH_LENGTH = 40
_LONGEST_LINE = 128
"""Bytes. A hash, a colon, a count and CRLF need under 64, so that twice that always holds the end of a line."""
_SCAN_WINDOW = 4096
"""Bytes. Halving ends here; what remains is read at once and searched."""
_SAMPLES = 256
_HEX_DIGITS = frozenset(b"0123456789ABCDEF")


class BreachedFileError(ValueError):
    """The file is not a sorted list of SHA-1 hashes as Have I Been Pwned publishes it."""


class BreachedPasswords:
    """A sorted text file of SHA-1 hashes, one `HEX40` or `HEX40:count` a line, LF or CRLF, of any size.

    It is never loaded: a look-up is some 25 reads in a file of 40 GB, each of which releases the interpreter lock.
    Safe to use from several threads. To renew the file, put another in its place by rename and restart.
    """

    def __init__(self, path: Path) -> None:
        """Open and spot-check the file: some 260 short reads, whatever its size.

        Raises OSError when it cannot be read, and BreachedFileError when it is something else.
        """
        self._path = path
        if path.exists() and not path.is_file():  # to open a named pipe would wait for whoever writes to it
            raise BreachedFileError(f"{path} is not a file")
        self._file = path.open("rb", buffering=0)
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._check()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. No look-up may follow."""
        self._file.close()

    def contains(self, password: str) -> bool:
        """Say whether the password is in the list.

        Raises Unavailable when the file turns out to be damaged: a check that cannot be made does not pass (D3).
        """
        encoded = password.encode("utf-8", "surrogatepass")
        wanted = hashlib.sha1(encoded, usedforsecurity=False).hexdigest().upper().encode()
        low, high = 0, self._size  # both the beginning of a line, or the end of the file
        try:
            while high - low > _SCAN_WINDOW:
                start, found = self._line_after((low + high) // 2)
                if found <= wanted:
                    low = start
                else:
                    high = start
        except BreachedFileError as error:
            raise Unavailable(reason=str(error)) from error
        return b"\n" + wanted in b"\n" + self._read(low, high - low)

    def _check(self) -> None:
        """Look at the first line, the last, and some between, which must be well-formed and in order."""
        if self._size <= _HASH_LENGTH - 1:
            raise self._invalid(0, "holds no hash")
        previous = self._hash_at(0)
        steps = (self._size * step // _SAMPLES for step in range(1, _SAMPLES))
        starts = (self._line_after(offset)[0] for offset in steps if offset < self._size - 2 * _LONGEST_LINE)
        for start in sorted({*starts, self._start_of_last_line()} - {0}):
            current = self._hash_at(start)
            if current <= previous:
                raise self._invalid(start, "is not sorted by hash")
            previous = current

    def _line_after(self, offset: int) -> tuple[int, bytes]:
        """Give where the next line begins after the one that `offset` is in, and its hash."""
        newline = self._read(offset, _LONGEST_LINE).find(b"\n")
        if newline < 0:
            raise self._invalid(offset, "has a line that is too long")
        start = offset + newline + 1
        return start, self._hash_at(start)

    def _start_of_last_line(self) -> int:
        begin = max(0, self._size - _LONGEST_LINE)
        return begin + self._read(begin, _LONGEST_LINE).rstrip(b"\r\n").rfind(b"\n") + 1

    def _hash_at(self, start: int) -> bytes:
        """Read the hash of the line that begins at `start`."""
        line = self._read(start, _HASH_LENGTH + 1)
        hash_, end = line[:_HASH_LENGTH], line[_HASH_LENGTH:]
        if len(hash_) < _HASH_LENGTH or not _HEX_DIGITS.issuperset(hash_) or end not in {b":", b"\r", b"\n", b""}:
            raise self._invalid(start, "has no upper-case SHA-1 hash")
        return hash_

    def _read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, offset)

    def _invalid(self, offset: int, problem: str) -> BreachedFileError:
        return BreachedFileError(
            f"{self._path}: byte {offset} {problem}; wanted: lines of HEX40 or HEX40:count,"
            " sorted by hash, as the Have I Been Pwned downloader writes them for SHA-1"
        )
