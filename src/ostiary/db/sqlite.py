"""SQLite: one writer thread that commits for everybody at once, and a few readers.

Group commit is what lets an embedded database keep up: the writer takes all flows that wait, runs each in a
savepoint of one `BEGIN IMMEDIATE` transaction, makes the whole durable with one sync, and only then answers.
"""

import asyncio
import os
import queue
import sqlite3
import stat
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from ostiary.db.database import Unreachable
from ostiary.db.figures import Figures
from ostiary.db.hot import Lookup, Row
from ostiary.problems import Problem

P = ParamSpec("P")
T = TypeVar("T")

BUSY_TIMEOUT_MS = 5000
BUSY_TIMEOUT_ALONE_MS = 1000
MAX_BATCH = 256
READERS = 4

_ENGINE_TROUBLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)

log = structlog.get_logger(__name__)


class Sharing(Enum):
    """Who else may have the file open."""

    WITH_OTHERS = auto()
    WITH_NOBODY = auto()
    """From the first look at it until it is closed; refused as locked where somebody has it open."""


class _Job(NamedTuple):
    flow: Callable[[Connection], Any]
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class SQLiteDatabase:
    """A SQLite file, written by one thread of this process (and, now and then, by the command line)."""

    engine = "sqlite"

    def __init__(self, path: Path, *, sharing: Sharing = Sharing.WITH_OTHERS) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()
        self._refusal: str | None = None
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        alone = sharing is Sharing.WITH_NOBODY
        self._reading = _engine(path, begin="BEGIN", readers=1 if alone else READERS, sharing=sharing)
        self._reads = self._failures = self._commits = self._committed = 0

    @property
    def place(self) -> str:
        """The file."""
        return str(self._path)

    @property
    def path(self) -> Path:
        """The file, for a backup beside it."""
        return self._path

    @property
    def figures(self) -> Figures:
        """How it is used."""
        in_use = min(self._reads, READERS)
        return Figures(
            most=READERS,
            in_use=in_use,
            waiting=self._reads - in_use,
            failures=self._failures,
            writes_waiting=self._jobs.qsize(),
            commits=self._commits,
            committed=self._committed,
        )

    async def read(self, flow: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a flow on a reader's snapshot."""
        return await self._in_reader(_read, self._reading, lambda connection: flow(connection, *args, **kwargs))

    async def survey(self, flow: Callable[[Connection], T]) -> T:
        """Run a flow on a reader's snapshot; what is written meanwhile waits in the log."""
        return await self.read(flow)

    async def look_up(self, lookup: Lookup, items: Sequence[Row]) -> list[Row | None]:
        """Answer a hot question for each of the items on a reader's snapshot, past SQLAlchemy."""
        return await self._in_reader(_look_up, self._reading, lookup.sqlite, items)

    async def _in_reader(self, read: Callable[..., T], *args: Any) -> T:
        self._refuse_if_told()
        self._reads += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, read, *args)
        except Unreachable:
            self._failures += 1
            raise
        finally:
            self._reads -= 1

    async def write(self, flow: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Hand a flow to the writer and wait until what it wrote is on disk."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        with self._lock:
            self._refuse_if_told()
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, name="sqlite-writer", daemon=True)
                self._writer.start()
            self._jobs.put(_Job(lambda connection: flow(connection, *args, **kwargs), answer, loop))
        return await answer

    async def migrate(self, flow: Callable[[Connection], T]) -> T:
        """Run a schema change on a connection of its own, while the writer waits; SQLite's DDL is transactional.

        Raises RuntimeError, and keeps nothing, where the change broke a foreign key.
        """
        self._refuse_if_told()
        return await asyncio.to_thread(_change_schema, self._path, flow)

    def refuse(self, reason: str) -> None:
        """Answer everything from now on with Unreachable."""
        with self._lock:
            self._refusal = reason

    async def close(self) -> None:
        """Let the writer finish its queue, then close."""
        with self._lock:
            self._refusal = "the database is closed"
            writer = self._writer
            self._jobs.put(None)
        if writer is not None:
            await asyncio.to_thread(writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        self._reading.dispose()

    def _refuse_if_told(self) -> None:
        if self._refusal is not None:
            raise Unreachable(reason=self._refusal)

    def _write_all(self) -> None:
        """Serve the queue until it is closed: the writer thread's whole life."""
        engine = _engine(self._path, begin="BEGIN IMMEDIATE", readers=1)
        running = True
        while running:
            batch: list[_Job] = []
            job = self._jobs.get()
            while True:
                if job is None:
                    running = False
                    break
                batch.append(job)
                if len(batch) == MAX_BATCH:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            if batch:
                outcomes = _commit_together(engine, batch)
                self._commits += 1
                self._committed += len(batch)
                _deliver(batch, outcomes)
                if isinstance(outcomes[0][1], Unreachable):
                    self._failures += len(batch)
                    self._give_up_waiting(outcomes[0][1])
        engine.dispose()

    def _give_up_waiting(self, failure: Unreachable) -> None:
        """Answer whoever waited behind a batch that failed: trying each in turn would only let them wait longer."""
        waited: list[_Job] = []
        for _ in range(self._jobs.qsize()):
            job = self._jobs.get()
            if job is None:
                self._jobs.put(None)
                break
            waited.append(job)
        _deliver(waited, [(None, failure)] * len(waited))


def _engine(
    path: Path, *, begin: str, readers: int, foreign_keys: bool = True, sharing: Sharing = Sharing.WITH_OTHERS
) -> Engine:
    """Answer an engine whose transactions we begin ourselves (the driver's own begin late, and deferred)."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),  # a path in a URL's text would end at a question mark
        poolclass=QueuePool,
        pool_size=readers,
        max_overflow=0,
        hide_parameters=True,  # an error's text must not bring addresses and hashes into the log (LA-2)
        connect_args={"check_same_thread": False},
    )

    alone = sharing is Sharing.WITH_NOBODY

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        for pragma in (
            # First: the next line may have to wait for another process.
            f"busy_timeout={BUSY_TIMEOUT_ALONE_MS if alone else BUSY_TIMEOUT_MS}",
            f"locking_mode={'EXCLUSIVE' if alone else 'NORMAL'}",
            "journal_mode=WAL",
            "synchronous=FULL",  # a 2xx to a write means it is on disk
            f"foreign_keys={'ON' if foreign_keys else 'OFF'}",
            f"query_only={'ON' if begin == 'BEGIN' else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    @event.listens_for(engine, "do_connect")
    def create_private(*_: object) -> None:
        # Only ever opened where it is new: closing any descriptor of a file gives up all locks that this process has on
        # it, and another process would then take itself for the last user of the database and remove our log.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:  # a copy made with another umask
                file.chmod(0o600)

    return engine


def _read(engine: Engine, flow: Callable[[Connection], T]) -> T:
    try:
        with engine.connect() as connection:
            return flow(connection)
    except (DBAPIError, OSError) as error:
        raise _translated(error) from error


def _look_up(engine: Engine, query: str, items: Sequence[Row]) -> list[Row | None]:
    try:
        pooled = engine.raw_connection()
        try:
            connection = cast("sqlite3.Connection", pooled.driver_connection)
            with connection:  # commits, which ends the snapshot, or rolls back
                connection.execute("BEGIN")
                return [connection.execute(query, item).fetchone() for item in items]
        finally:
            pooled.close()
    except (DBAPIError, sqlite3.Error, OSError) as error:
        raise _translated(error) from error


def _change_schema(path: Path, flow: Callable[[Connection], T]) -> T:
    """Run a schema change in one transaction that leaves foreign keys alone meanwhile.

    SQLite cannot change a column in place, so a migration copies the table and drops the old one. Dropping counts as
    deleting every row: were foreign keys enforced, all that hangs on those rows would be deleted with them
    (https://sqlite.org/lang_altertable.html#otheralter). They are checked before the commit instead.
    """
    engine = _engine(path, begin="BEGIN IMMEDIATE", readers=1, foreign_keys=False)
    try:
        with engine.begin() as connection:
            result = flow(connection)
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise RuntimeError("the schema change broke a foreign key; nothing of it was kept")
            return result
    except (DBAPIError, OSError) as error:
        raise _translated(error) from error
    finally:
        engine.dispose()


def _commit_together(engine: Engine, batch: list[_Job]) -> list[tuple[Any, Exception | None]]:
    """Run every job in a savepoint of one transaction; answer each one's result or exception, once it is durable."""
    try:
        with engine.connect() as connection:
            if len(batch) == 1:
                return [_run_alone(connection, batch[0])]
            with connection.begin():
                return [_run(connection, job) for job in batch]
    except Exception as error:  # noqa: BLE001 - nothing of the batch is kept; every caller is told
        return [(None, _translated(error))] * len(batch)


def _run_alone(connection: Connection, job: _Job) -> tuple[Any, Exception | None]:
    """Run one job in a transaction of its own, which needs no savepoint. Raises when the engine itself fails."""
    transaction = connection.begin()
    try:
        result = job.flow(connection)
    except Problem as problem:
        transaction.commit() if problem.keep_writes else transaction.rollback()
        return None, problem
    except Exception as error:
        transaction.rollback()
        if _is_trouble(error):
            raise
        return None, error
    transaction.commit()
    return result, None


def _run(connection: Connection, job: _Job) -> tuple[Any, Exception | None]:
    """Run one job. Raises only when the engine itself fails: then nothing of the transaction can be relied upon."""
    savepoint = connection.begin_nested()
    try:
        result = job.flow(connection)
    except Problem as problem:
        savepoint.commit() if problem.keep_writes else savepoint.rollback()
        return None, problem
    except Exception as error:
        if _is_trouble(error):
            raise
        savepoint.rollback()
        return None, error
    savepoint.commit()
    return result, None


def _is_trouble(error: Exception) -> bool:
    """Say whether the engine failed (no space, locked, unreadable), rather than our statement."""
    if isinstance(error, DBAPIError | sqlite3.Error):
        code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
        return code is not None and code & 0xFF in _ENGINE_TROUBLE
    return isinstance(error, OSError)


def _translated(error: Exception) -> Exception:
    """Answer what a caller should see: Unreachable where the engine failed, else the error as it is."""
    if _is_trouble(error):
        return Unreachable(reason=f"SQLite: {getattr(error, 'orig', None) or error}")
    return error


def _deliver(batch: list[_Job], outcomes: list[tuple[Any, Exception | None]]) -> None:
    """Hand the outcomes to their event loops, one call for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any, Exception | None]]] = {}
    for job, (result, error) in zip(batch, outcomes, strict=True):
        by_loop.setdefault(job.loop, []).append((job.answer, result, error))
    for loop, answers in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, answers)
        except RuntimeError:  # the loop is closed: its callers are gone, the writes stay
            log.warning("writes_outlived_their_callers", count=len(answers))


def _settle(answers: list[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
    for answer, result, error in answers:
        if answer.done():
            continue
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)
