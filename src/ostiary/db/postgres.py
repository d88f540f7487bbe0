"""PostgreSQL through asyncpg: a pool, serialisable writes with retries, and a limit on how long anybody waits."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import PoolProxiedConnection, QueuePool
from sqlalchemy.util import greenlet_spawn

from ostiary.db.database import Unreachable, time_limit
from ostiary.db.figures import Figures
from ostiary.db.flows import isolation_of
from ostiary.db.hot import Lookup, Row
from ostiary.problems import Problem
from ostiary.settings.postgres_url import Target, parse

P = ParamSpec("P")
T = TypeVar("T")

POOL_SIZE = 12
CONNECT_TIMEOUT_SECONDS = 2.0
TIME_LIMIT_SECONDS = 3.5
"""For one read or write with all its tries; with what a broken connection takes to be given up, below FL-2's 5 s."""
IDLE_LIMIT = "5s"
"""For a transaction in which nothing is asked, after which PostgreSQL ends it: what a server that was paused or cut off
has locked must not keep the others waiting. Longer than any transaction of ours may take."""
TRIES = 10
GOODBYE_SECONDS = 0.25

_RETRY = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
# Connection, resources (a full disk among them), operator intervention, system and internal errors; a server that
# turned read-only after a failover; and what a login can be refused with while a server is being set up.
_TROUBLE_CLASSES = frozenset({"08", "28", "3D", "53", "57", "58", "XX"})
_READ_ONLY = "25006"
_STANDBY = frozenset({_READ_ONLY, "0A000"})
"""What a standby answers to who wants to write: 0A000 where the transaction is SERIALIZABLE."""
_FAILURES = (
    DBAPIError,
    AsyncAdapt_asyncpg_dbapi.Error,  # what a new connection was refused with, where nobody wraps it: past SQLAlchemy
    OSError,
    TimeoutError,
    PoolTimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# What the kernel is told about our connections: one whose other end vanished without a word is closed after five to
# eight seconds, whether something waits for an answer on it or it lies in the pool. Not every system knows them all.
_NOTICE_SILENCE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 5000}


class _Connection(asyncpg.Connection):
    """Notices a server that vanished, and takes leave quickly.

    SQLAlchemy would wait two seconds for a server that hangs, on top of the time limit.
    """

    def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        self.is_committing = False
        connected = transport.get_extra_info("socket")
        if connected is not None and connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _NOTICE_SILENCE.items():
                if hasattr(socket, name):
                    connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def _cancel_current_command(self, waiter: "asyncio.Future[None]", *rest: Any) -> None:
        """Never cancel a commit, only leave it.

        One that waits for a standby would be finished without it: everybody saw what was written, might be told that
        it is so, and a failover took it back.
        """
        if self.is_committing:
            self.terminate()
            if not waiter.done():
                waiter.set_result(None)
        else:
            super()._cancel_current_command(waiter, *rest)  # type: ignore[misc] # it is not in the stubs

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's signature
        """Say goodbye, or go without."""
        await super().close(timeout=min(timeout or GOODBYE_SECONDS, GOODBYE_SECONDS))


class PostgresDatabase:
    """A PostgreSQL server, 14 or later."""

    engine = "postgresql"

    def __init__(self, url: str, *, statement_cache: bool = True) -> None:
        target = parse(url)
        self._place = target.place
        self._refusal: str | None = None
        self._under_way = self._failures = self._retries = 0
        self._quiet = asyncio.Event()
        # Those that PostgreSQL could not serialise try again one after the other, or many would never be done.
        self._in_turn = asyncio.Lock()

        async def connect(**_: Any) -> Any:
            connection = await _connected(target, statement_cache=statement_cache)
            # Asked for, not given as a parameter of the connection: a pooler refuses those that it does not know.
            try:
                await connection.execute(
                    f"SET idle_in_transaction_session_timeout = '{IDLE_LIMIT}'", timeout=CONNECT_TIMEOUT_SECONDS
                )
            except BaseException:  # whoever gives up waiting leaves no connection behind
                connection.terminate()
                raise
            return connection

        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=TIME_LIMIT_SECONDS,
            pool_use_lifo=True,
            hide_parameters=True,  # an error's text must not bring addresses and hashes into the log (LA-2)
        )

    @property
    def place(self) -> str:
        """Host and database name."""
        return self._place

    @property
    def figures(self) -> Figures:
        """How it is used."""
        in_use = cast("QueuePool", self._engine.pool).checkedout()
        waiting = max(0, self._under_way - in_use)
        return Figures(POOL_SIZE, in_use, waiting, failures=self._failures, retries=self._retries)

    async def read(self, flow: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a flow on one snapshot (REPEATABLE READ, READ ONLY)."""

        async def attempt() -> T:
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                return await connection.run_sync(flow, *args, **kwargs)

        return await self._with_retries(attempt)

    async def look_up(self, lookup: Lookup, items: Sequence[Row]) -> list[Row | None]:
        """Answer a hot question for all items in one statement, which is its own snapshot, past SQLAlchemy."""

        async def attempt() -> list[Row | None]:
            pooled = await self._living_connection()
            try:
                rows = await cast("_Connection", pooled.driver_connection).fetch(
                    lookup.postgresql, *zip(*items, strict=True)
                )
            except BaseException:
                await greenlet_spawn(pooled.invalidate)
                raise
            await greenlet_spawn(pooled.close)
            return [None if row[0] is None else cast("Row", row) for row in rows]

        return await self._with_retries(attempt)

    async def _living_connection(self) -> PoolProxiedConnection:
        """Take a connection that the server has not closed, as it closes all of them when it restarts."""
        while True:
            pooled = await self._engine.raw_connection()
            if not cast("_Connection", pooled.driver_connection).is_closed():
                return pooled
            await greenlet_spawn(pooled.invalidate)

    async def write(self, flow: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a flow in one transaction, again where PostgreSQL asks for it, and commit."""
        isolation = isolation_of(flow)

        async def attempt() -> T:
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level=isolation, postgresql_readonly=False)
                try:
                    result = await connection.run_sync(flow, *args, **kwargs)
                except Problem as problem:
                    if problem.keep_writes:
                        await _commit(connection)
                    raise
                except DBAPIError as error:
                    if _sqlstate(error) not in _STANDBY:
                        raise
                    await connection.invalidate(error)
                    raise ConnectionError(f"no longer the primary: {_line(error)}") from error
                await _commit(connection)
                return result

        return await self._with_retries(attempt)

    async def survey(self, flow: Callable[[Connection], T]) -> T:
        """Run a flow on one snapshot, without a time limit."""
        async with self._counted(), _translating(), self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            return await connection.run_sync(flow)

    async def migrate(self, flow: Callable[[Connection], T]) -> T:
        """Run a schema change in one transaction, without a time limit."""
        async with self._counted(), _translating(), self._engine.begin() as connection:
            await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            return await connection.run_sync(flow)

    def refuse(self, reason: str) -> None:
        """Answer everything from now on with Unreachable."""
        self._refusal = reason

    async def close(self) -> None:
        """Wait for what is under way (each has its time limit), then close the pool."""
        self._refusal = "the database is closed"
        if self._under_way:
            self._quiet.clear()
            await self._quiet.wait()
        await self._engine.dispose()

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        """Let `close` wait for the block; refuse once it was called, or a new pool would open that nobody closes."""
        if self._refusal is not None:
            raise Unreachable(reason=self._refusal)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()

    async def _with_retries(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it works, PostgreSQL gives a final answer, or time is up."""
        wants_turn = False
        try:
            async with self._counted(), time_limit(TIME_LIMIT_SECONDS):
                for tries_left in reversed(range(TRIES)):
                    try:
                        return await (self._attempt_in_turn(attempt) if wants_turn else attempt())
                    except _CommitFailed as error:
                        raise Unreachable(reason=f"the outcome of a commit is unknown: {error}") from error
                    except _FAILURES as error:
                        if not (_wants_retry(error) and tries_left):
                            raise
                        if _sqlstate(error) in _RETRY:
                            wants_turn = True
                        self._retries += 1
                    await asyncio.sleep(random.uniform(0.001, 0.01) * (TRIES - tries_left))  # noqa: S311 - jitter
        except Unreachable:
            self._failures += 1
            raise
        except _FAILURES as error:
            self._failures += 1
            if _sqlstate(error) in _RETRY:
                raise Unreachable(reason=f"too many writers in each other's way: {_line(error)}") from error
            if _is_trouble(error):
                raise Unreachable(reason=_line(error)) from error
            raise
        raise AssertionError  # pragma: no cover - the last try returned or raised

    async def _attempt_in_turn(self, attempt: Callable[[], Awaitable[T]]) -> T:
        async with self._in_turn:
            return await attempt()


@asynccontextmanager
async def _translating() -> AsyncIterator[None]:
    """Raise Unreachable where the server is at fault, rather than our statement."""
    try:
        yield
    except _FAILURES as error:
        if _is_trouble(error):
            raise Unreachable(reason=_line(error)) from error
        raise


class DirectConnection:
    """A connection beside the pool, for a caller who cannot wait for others.

    Opened when first used, and anew after every failure. One statement at a time, each its own transaction.
    """

    def __init__(self, url: str, *, statement_cache: bool = True) -> None:
        self._target = parse(url)
        self._statement_cache = statement_cache
        self._connection: _Connection | None = None

    async def fetch(self, statement: str, *values: Any) -> Sequence[Row]:
        """Run one statement; answer the rows it returns.

        Raises Unreachable for whatever goes wrong. Whoever cancels it leaves no half-read connection behind, but cannot
        know whether the statement was carried out.
        """
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await _connected(self._target, statement_cache=self._statement_cache)
            return await self._connection.fetch(statement, *values)  # type: ignore[return-value] # records are tuples
        except _FAILURES as error:
            self._drop()
            raise Unreachable(reason=_line(error)) from error
        except BaseException:
            self._drop()
            raise

    async def close(self) -> None:
        """Close it; the next use would open it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


async def _connected(target: Target, *, statement_cache: bool) -> _Connection:
    """Open a connection.

    A pooler in transaction mode gives each transaction another one. Without the cache statements have no names, and are
    sent again with every execution: nothing is remembered on a connection.
    """
    return await asyncpg.connect(
        target.dsn,
        ssl=target.ssl,
        timeout=CONNECT_TIMEOUT_SECONDS,
        statement_cache_size=100 if statement_cache else 0,
        connection_class=_Connection,
    )


class _CommitFailed(Exception):  # noqa: N818 - not an error yet: the outcome is unknown
    """The connection broke while the commit was on its way: it may have happened."""


async def _commit(connection: AsyncConnection) -> None:
    driver = cast("_Connection", cast("Connection", connection.sync_connection).connection.driver_connection)
    driver.is_committing = True
    try:
        await connection.commit()
    except _FAILURES as error:
        if _sqlstate(error) in _RETRY:
            raise  # SERIALIZABLE may refuse as late as this, and says for certain that nothing was kept
        raise _CommitFailed(_line(error)) from error
    finally:
        driver.is_committing = False


def _sqlstate(error: BaseException) -> str:
    state = getattr(getattr(error, "orig", None) or error, "sqlstate", None)
    return state if isinstance(state, str) else ""


def _is_lost(error: BaseException) -> bool:
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, AsyncAdapt_asyncpg_dbapi.Error):
        cause = cause.__cause__ or cause
    # Internal: none of the hosts is the primary, or the server has said farewell and not hung up yet.
    if isinstance(cause, asyncpg.InternalClientError | ConnectionError):
        return True
    # Of SQLAlchemy's own errors, those may be about what we gave it.
    if isinstance(cause, asyncpg.InterfaceError) and not isinstance(error, DBAPIError):
        return True
    return (isinstance(error, DBAPIError) and error.connection_invalidated) or _sqlstate(error)[:2] in {"08", "57"}


def _wants_retry(error: BaseException) -> bool:
    """Say whether the same transaction may well work the next time, and certainly did not happen this time.

    A broken connection counts: after a restart of the server every pooled connection is broken, and the next try
    is on a fresh one.
    """
    return _sqlstate(error) in _RETRY or _is_lost(error)


def _is_trouble(error: BaseException) -> bool:
    """Say whether the server is at fault or out of reach, rather than our statement."""
    if isinstance(error, OSError | TimeoutError | PoolTimeoutError) or _is_lost(error):
        return True
    state = _sqlstate(error)
    return state[:2] in _TROUBLE_CLASSES or state == _READ_ONLY


def _line(error: BaseException) -> str:
    """Say in one line what went wrong; no statement and no values in it."""
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else 'no answer in time'}"
