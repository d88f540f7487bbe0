"""Backups below the command line: everything that a database can hold comes back as it was, on either engine."""

import gzip
import io
import json
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Connection, Numeric, SmallInteger, Table, insert, inspect, text

import ostiary.app
import ostiary.transfer.models  # noqa: F401 - a table that only the command line knows
from ostiary.clock import SystemClock
from ostiary.crypto.secret import Secret
from ostiary.db import Database, Misconfigured, schema
from ostiary.db.backups import loading, rows
from ostiary.db.backups.file import Header, parts_of
from ostiary.db.backups.loading import check, load
from ostiary.db.backups.saving import save
from ostiary.db.backups.shape import LEFT_OUT, BadBackup, Kind, kind_of, shapes_of
from ostiary.db.types import EPOCH, Moment, metadata
from ostiary.settings import Settings
from tests.conftest import NewDatabase, settings_for_tests
from tests.db.opened import on_database
from tests.sessions.beside import write

SECRET = Secret(b"Yq7vZ2mKx9Tw4Rb8Lc6Nd1Hf5Js3Gp0Q")
LAST_IDS = {"users": 700_000, "mail_requests": 5}
NOW = SystemClock().now()
ALL_TEXT = "".join(map(chr, (*range(1, 0x80), 0xE9, 0x3042, 0xD7FF, 0xE000, 0xFFFD, 0xFFFF, 0x1F469, 0x10FFFF)))


def saved(settings: Settings) -> io.BytesIO:
    """A backup of the database that the settings name."""
    file = io.BytesIO()

    async def work(database: Database) -> Header:
        return await save(database, file, SECRET, now=NOW, show=lambda *_: None)

    on_database(settings, work)
    return file


def loaded(file: io.BytesIO, settings: Settings, *, secret: Secret = SECRET, finish: Any = lambda *_: None) -> Header:
    """Check and load a backup into the empty database that the settings name."""

    async def work(_: Database) -> Header:
        checked = await check(file, secret)
        await load(checked, settings, finish=finish, now=NOW, show=lambda *_: None)
        return checked.header

    settings.data_dir.mkdir(exist_ok=True)
    return on_database(settings, work)


def made(settings: Settings) -> Settings:
    """An empty schema there."""

    async def upgrade(database: Database) -> None:
        await schema.upgrade_schema(database, settings, now=NOW)

    on_database(settings, upgrade)
    return settings


def values_of(table: Table, rng: random.Random, keys: dict[str, list[Any]], number: int) -> dict[str, Any]:
    """A row of whatever the columns take, extremes among it; a reference points to a row that is there."""
    row: dict[str, Any] = {}
    for column in table.columns:
        [reference] = column.foreign_keys or [None]
        if reference is not None:
            row[column.name] = keys[reference.target_fullname][number]
        elif column.nullable and rng.random() < 0.3:
            row[column.name] = None
        else:
            row[column.name] = value_of(column, rng, number)
    return row


def value_of(column: Any, rng: random.Random, number: int) -> Any:
    match kind_of(BigInteger() if isinstance(column.type, Moment) else column.type):
        case Kind.TRUTH:
            return rng.random() < 0.5
        case Kind.INTEGER if isinstance(column.type, Moment):
            return datetime.fromtimestamp(rng.randint(0, 2**33), EPOCH.tzinfo)
        case Kind.INTEGER if column.primary_key or column.unique:
            return number + 1
        case Kind.INTEGER:
            bits = 63 if isinstance(column.type, BigInteger) else 15 if isinstance(column.type, SmallInteger) else 31
            return rng.choice([0, 1, -1, 2**bits - 1, -(2**bits)])
        case Kind.BYTES:
            return rng.randbytes(column.type.length or 40)
        case _:
            length = column.type.length or 400
            return (f"{number:x} " + "".join(rng.choices(ALL_TEXT, k=length)))[:length]


def fill(connection: Connection, *, rows: int) -> None:
    """Put rows into every table."""
    rng = random.Random(rows)
    keys: dict[str, list[Any]] = {}
    for table in metadata.sorted_tables:
        if table.name in LEFT_OUT:
            continue
        listed = [values_of(table, rng, keys, number) for number in range(1 if table.name == "installation" else rows)]
        if table.name == "installation":
            listed[0]["secret_fingerprint"] = SECRET.fingerprint
        connection.execute(insert(table), listed)
        for column in table.columns:
            keys[f"{table.name}.{column.name}"] = [row[column.name] for row in listed]
    for name, last in LAST_IDS.items():
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {last})"))
        else:
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
            connection.execute(text(f"INSERT INTO sqlite_sequence VALUES ('{name}', {last})"))


def content(file: io.BytesIO) -> list[Any]:
    """What a backup holds, without what it says of itself."""
    return [part for part in parts_of(file, SECRET) if not isinstance(part, Header)]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[[str | None], Settings]:
    """Empty places beside."""
    numbers = iter(range(100))

    def make(url: str | None) -> Settings:
        return settings_for_tests(tmp_path / f"other-{next(numbers)}", url)

    return make


@pytest.mark.rule("ST-3", "ST-4")
def test_everything_comes_back_as_it_was_on_either_engine(
    settings: Settings, new_database: NewDatabase, elsewhere: Callable[[str | None], Settings]
) -> None:
    """Every table is filled with what its columns take; the file of the copy holds the very same lines."""
    write(made(settings), fill, rows=300)
    first = saved(settings)
    assert {name: count for name, count in json_header(first)["rows"].items() if count != 300} == {"installation": 1}
    again, on_sqlite = elsewhere(new_database()), elsewhere(None)
    for place in (again, on_sqlite):
        loaded(first, place)
        assert content(saved(place)) == content(first)
        assert next_user_id(place) == LAST_IDS["users"] + 1


def json_header(file: io.BytesIO) -> dict[str, Any]:
    file.seek(0)
    with gzip.GzipFile(fileobj=file, mode="rb") as lines:
        found: dict[str, Any] = json.loads(lines.readline())
    return found


def is_empty(settings: Settings) -> bool:
    if settings.sqlite_file is not None:
        return list(settings.data_dir.iterdir()) == []
    return on_database(settings, lambda database: database.read(lambda c: inspect(c).get_table_names())) == []


def next_user_id(settings: Settings) -> int:
    def sign_up(connection: Connection) -> int:
        names = dict.fromkeys(("email", "email_key", "username", "username_key"), "new")
        new = {**names, "is_active": True, "is_superuser": False, "created_at": NOW, "updated_at": NOW}
        users = metadata.tables["users"]
        return int(connection.execute(insert(users).values(new).returning(users.c.id)).scalar_one())

    return write(settings, sign_up)


@pytest.mark.rule("ST-3")
def test_every_table_is_saved_or_left_out_for_a_reason(settings: Settings) -> None:
    made(settings)

    def columns(connection: Connection) -> dict[str, set[str]]:
        look = inspect(connection)
        return {name: {column["name"] for column in look.get_columns(name)} for name in look.get_table_names()}

    async def shapes(_: Database) -> dict[str, set[str]]:
        return {shape.table: set(shape.names) for shape in await shapes_of(schema.HEAD)}

    there, found = on_database(settings, lambda database: database.read(columns)), on_database(settings, shapes)
    assert found == {name: names for name, names in there.items() if name not in {*LEFT_OUT, "sqlite_sequence"}}
    assert set(metadata.tables) <= there.keys()
    assert all(LEFT_OUT.values())


@pytest.mark.any_engine
def test_column_that_a_backup_cannot_hold_is_found_out(settings: Settings) -> None:  # noqa: ARG001
    with pytest.raises(NotImplementedError):
        kind_of(Numeric())


def test_nothing_is_kept_of_what_fails_at_the_end(settings: Settings, elsewhere: Any, new_database: Any) -> None:
    write(made(settings), fill, rows=3)
    file = saved(settings)
    place = elsewhere(new_database())

    def fail(*_: Any) -> None:
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        loaded(file, place, finish=fail)
    assert is_empty(place)
    loaded(file, place)
    assert content(saved(place)) == content(file)


def test_what_was_kept_is_compared_with_what_was_written(
    settings: Settings, elsewhere: Any, new_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(made(settings), fill, rows=3)
    file, place = saved(settings), elsewhere(new_database())
    real = rows.insert_line

    def lossy(connection: Connection, shape: Any, line: bytes) -> int:
        done = real(connection, shape, line)
        if shape.table == "profiles":
            connection.execute(text("UPDATE profiles SET language = 'xx' WHERE user_id = 2"))
        return done

    monkeypatch.setattr(loading, "insert_line", lossy)
    with pytest.raises(BadBackup, match="table profiles is not what was written"):
        loaded(file, place)
    assert is_empty(place)


@pytest.mark.rule("ST-3")
def test_backup_of_an_older_schema_is_upgraded(settings: Settings, elsewhere: Any, new_database: Any) -> None:
    older = "0004"

    async def upgrade(database: Database) -> None:
        await schema.upgrade(database, backup_dir=settings.data_dir, now=NOW, to=older)

    on_database(settings, upgrade)
    names = "id, email, email_key, username, username_key, is_active, is_superuser, created_at, updated_at"
    for user_id in (1, 2, 9):
        row = f"{user_id}, 'u{user_id}@x', 'u{user_id}@x', 'u{user_id}', 'u{user_id}', TRUE, FALSE, 0, 0"
        write(settings, lambda c, row=row: c.execute(text(f"INSERT INTO users ({names}) VALUES ({row})")))  # type: ignore[misc]
    file, place = saved(settings), elsewhere(new_database())
    header = loaded(file, place)
    assert header.schema == older
    assert on_database(place, lambda database: database.read(schema.current_revision)) == schema.HEAD
    listed = on_database(place, lambda d: d.read(lambda c: c.execute(text("SELECT id FROM users ORDER BY 1")).all()))
    assert [user_id for (user_id,) in listed] == [1, 2, 9]


BAD: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("empty", lambda _: b"", "it is cut off"),
    ("text", lambda _: b"no backup at all\n" * 99, "it is damaged, or is no backup"),
    ("another gzip", lambda _: gzip.compress(b'{"a": 1}\n'), "it is no backup of Ostiary"),
    ("no JSON", lambda _: gzip.compress(b"hello\n"), "it is damaged, or no backup of Ostiary"),
    ("endless line", lambda _: gzip.compress(b"[" * (65 * 1024 * 1024)), "it is cut off, or no backup of Ostiary"),
    ("deep", lambda _: gzip.compress(b"[" * 100_000 + b"\n"), "it is damaged, or no backup of Ostiary"),
    ("half", lambda whole: whole[: len(whole) // 2], "it is cut off"),
    ("without its end", lambda whole: whole[:-8], "it is cut off"),
    ("a byte", lambda whole: whole[:700] + bytes([whole[700] ^ 1]) + whole[701:], ""),
    ("twice", lambda whole: whole * 2, "something follows"),
    ("last line", lambda whole: packed(lines(whole)[:-1]), "it is cut off"),
    ("a row", lambda whole: packed(replaced(whole, b"ann@x.example", b"eve@x.example")), "is not as it was"),
    ("the moment", lambda whole: packed(replaced(whole, b'"made_at":"2', b'"made_at":"3')), "its seal does not"),
    ("newer form", lambda whole: packed(replaced(whole, b'backup":1', b'backup":2')), "upgrade Ostiary"),
    ("a table", lambda whole: packed(without_table(lines(whole))), "its seal does not"),
]


@pytest.mark.any_engine
def test_file_that_cannot_be_trusted_is_found_out(settings: Settings) -> None:
    write(made(settings), fill, rows=1)
    write(settings, lambda connection: connection.exec_driver_sql("UPDATE users SET email = 'ann@x.example'"))
    whole = saved(settings).getvalue()

    def look(content: bytes) -> None:
        async def work(_: Database) -> None:
            await check(io.BytesIO(content), SECRET)

        on_database(settings, work)

    for name, spoil, said in BAD:
        with pytest.raises(BadBackup) as refused:
            look(spoil(whole))
        assert said in refused.value.detail, name
    look(whole)


def lines(whole: bytes) -> list[bytes]:
    return gzip.decompress(whole).splitlines(keepends=True)


def packed(content: list[bytes]) -> bytes:
    return gzip.compress(b"".join(content))


def replaced(whole: bytes, old: bytes, new: bytes) -> list[bytes]:
    assert old in gzip.decompress(whole)
    return [gzip.decompress(whole).replace(old, new)]


def without_table(content: list[bytes]) -> list[bytes]:
    """Leave the last table out."""
    return content[:-4] + content[-1:]


@pytest.mark.any_engine
@pytest.mark.rule("SK-2")
def test_another_secret_is_refused_unless_it_is_listed(settings: Settings, elsewhere: Any) -> None:
    write(made(settings), fill, rows=1)
    file = saved(settings)
    new = b"Zq8vX2mKx9Tw4Rb8Lc6Nd1Hf5Js3Gp0W"
    with pytest.raises(Misconfigured, match="belongs to another secret key"):
        loaded(file, elsewhere(None), secret=Secret(new))
    loaded(file, elsewhere(None), secret=Secret(new, [b"Yq7vZ2mKx9Tw4Rb8Lc6Nd1Hf5Js3Gp0Q"]))
