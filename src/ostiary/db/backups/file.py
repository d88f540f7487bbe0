"""The file of a backup: writing it, and reading it with every check that the form allows."""

import gzip
import hashlib
import hmac
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, TypeAlias

from ostiary.crypto.secret import Secret
from ostiary.db import Misconfigured
from ostiary.db.backups.shape import BadBackup, Kind, Shape

FORM = 1
"""Of the file; a change of it needs another number, and the old one understood."""
LONGEST_LINE = 64 * 1024 * 1024
PURPOSE = "backup"
_LEVEL = 3  # twice as fast as the default, and a tenth larger

_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Header:
    """What a backup says of itself."""

    ostiary_backup: int
    ostiary: str
    """The version that made it."""
    schema: str
    engine: str
    made_at: str
    secret: str
    """The fingerprint of the secret that the installation had."""
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TableStart:
    """A table begins."""

    shape: Shape
    last_id: int | None


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of it, still as text."""

    line: bytes


@dataclass(frozen=True, slots=True)
class TableEnd:
    """A table has ended."""

    digest: str
    rows: int


Part: TypeAlias = Header | TableStart | Rows | TableEnd


class Writer:
    """Writes a backup part by part; `end` seals it."""

    def __init__(self, target: BinaryIO, header: Header, key: bytes) -> None:
        self._file = gzip.GzipFile(fileobj=target, mode="wb", compresslevel=_LEVEL, filename="", mtime=0)
        self._all = hashlib.sha256()
        self._key = key
        self._tell(asdict(header))

    def begin_table(self, shape: Shape, last_id: int | None) -> None:
        """Begin a table."""
        self._table, self._rows, self._digest = shape.table, 0, hashlib.sha256()
        self._tell({"table": shape.table, "columns": shape.columns, "last_id": last_id})

    def add(self, count: int, line: bytes) -> None:
        """Add some rows to it."""
        self._rows += count
        self._digest.update(line)
        self._write(line)

    def end_table(self) -> None:
        """End it."""
        self._tell({"end": self._table, "rows": self._rows, "digest": self._digest.hexdigest()})

    def end(self) -> None:
        """Seal the whole."""
        digest = self._all.hexdigest()
        self._tell({"end": PURPOSE, "digest": digest, "seal": _seal(self._key, digest)})
        self._file.close()

    def _tell(self, members: dict[str, Any]) -> None:
        self._write(_encode(members).encode("ascii") + b"\n")

    def _write(self, line: bytes) -> None:
        self._all.update(line)
        self._file.write(line)


def key_of(secret: Secret, fingerprint: str) -> bytes:
    """Answer the key of the seals made under the secret of this name. Raises Misconfigured for one that is not ours."""
    keys = dict(zip(secret.fingerprints, secret.derive_all(PURPOSE), strict=True))
    if fingerprint not in keys:
        raise Misconfigured(
            "the backup belongs to another secret key: put the one in place that the installation had then, or list it "
            "in OSTIARY_SECRET_KEY_PREVIOUS"
        )
    return keys[fingerprint]


def parts_of(file: BinaryIO, secret: Secret) -> Iterator[Part]:
    """Read a backup from its beginning, part by part.

    Only when the last one was taken is it known that all of them are as they were written: nothing may be kept before.
    Raises BadBackup, and Misconfigured for one that is not ours.
    """
    file.seek(0)
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as lines:
            yield from _Reader(lines, secret).parts()
    except EOFError as error:
        raise BadBackup("it is cut off") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadBackup("it is damaged, or is no backup") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadBackup("it is damaged, or no backup of Ostiary") from error


class _Reader:
    """Reads line after line, and holds each part to what the others say of it."""

    def __init__(self, lines: gzip.GzipFile, secret: Secret) -> None:
        self._lines = lines
        self._secret = secret
        self._all = hashlib.sha256()

    def parts(self) -> Iterator[Part]:
        header = self._header()
        key = key_of(self._secret, header.secret)
        yield header
        while True:
            before = self._all.copy()
            members = json.loads(self._line())
            if members.get("end") == PURPOSE:
                break
            yield from self._table(members, header.rows)
        self._check_end(members, before.hexdigest(), key)
        if self._lines.read(1):
            raise BadBackup("something follows behind its end")

    def _header(self) -> Header:
        members = json.loads(self._line())
        form = members.get("ostiary_backup")
        if not isinstance(form, int):
            raise BadBackup("it is no backup of Ostiary")
        if form != FORM:
            raise BadBackup(f"its form is {form}, which this version of Ostiary does not know: upgrade Ostiary")
        return Header(**members)

    def _table(self, members: dict[str, Any], rows: Mapping[str, int]) -> Iterator[Part]:
        name = members["table"]
        columns = tuple((column, Kind(kind)) for column, kind in members["columns"])
        yield TableStart(Shape(name, columns, ()), members["last_id"])
        digest = hashlib.sha256()
        while (line := self._line()).startswith(b"["):
            digest.update(line)
            yield Rows(line)
        end = json.loads(line)
        if (end["end"], end["digest"], end["rows"]) != (name, digest.hexdigest(), rows[name]):
            raise BadBackup(f"its table {name} is not as it was written")
        yield TableEnd(end["digest"], end["rows"])

    def _check_end(self, members: dict[str, Any], digest: str, key: bytes) -> None:
        if not hmac.compare_digest(str(members["seal"]).encode(), _seal(key, digest).encode()):
            raise BadBackup("it is not as it was written: its seal does not hold")

    def _line(self) -> bytes:
        line = self._lines.readline(LONGEST_LINE)
        if not line:
            raise BadBackup("it is cut off")
        if not line.endswith(b"\n"):
            raise BadBackup("it is cut off, or no backup of Ostiary")
        self._all.update(line)
        return line


def _seal(key: bytes, digest: str) -> str:
    return hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()
