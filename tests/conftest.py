"""What tests are given: real servers on each engine, and clients of them."""

import asyncio
import functools
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import httpx
import pytest
from hypothesis import settings as hypothesis_settings

from ostiary.context import App
from ostiary.db import open_database
from ostiary.db.schema import upgrade_schema
from ostiary.settings import Settings
from tests.faults.figures import Figures
from tests.parts.postgres import Postgres, available
from tests.parts.valkey import Valkey
from tests.server import Process, Server

# Machines that run tests are shared and slow at times: an example that takes long is no failure.
hypothesis_settings.register_profile("ostiary", deadline=None)
hypothesis_settings.load_profile("ostiary")

_NO_LIMIT = "1000000/hour"  # all tests are one source

_VALKEY: list[str] = []
"""The URL of the one that all servers of this process count in, where that is asked for."""
_NUMBERS: dict[object, int] = {}
"""Which of its databases belongs to whom."""

_FIGURES = "figures"
_HAS_PASSED = pytest.StashKey[bool]()


class Place(TypedDict):
    """Where an installation is: what `Settings` calls so."""

    data_dir: Path
    database_url: str | None


NewDatabase: TypeAlias = Callable[[], str | None]
NewPlace: TypeAlias = Callable[[], Place]
MakeServer: TypeAlias = Callable[..., Server]
MakeProcess: TypeAlias = Callable[..., Process]


ON_THE_OLDEST_TOO = ("tests.db.", "tests.journeys.", "tests.sessions.test_races", "tests.sessions.test_refresh")
"""What also runs on the oldest PostgreSQL at hand: the database's own tests, and the busiest statements."""


ABOUT_LIMITS = ("tests.db.", "tests.faults.", "tests.health.", "tests.cluster.")
"""What is about how long somebody waits for the database."""


@functools.cache
def engines() -> list[str]:
    """SQLite, and PostgreSQL in the newest and the oldest version that can be had here."""
    versions = list(available())
    return ["sqlite", *(f"postgresql-{version}" for version in dict.fromkeys((versions[-1], versions[0])))]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--valkey`: every server of the tests counts in a Valkey (ST-4)."""
    parser.addoption("--valkey", action="store_true", help="servers of the tests count requests and mails in a Valkey")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run whatever uses a database once on each engine, unless it says nothing about the database."""
    if "engine" not in metafunc.fixturenames:
        return
    if metafunc.definition.get_closest_marker("any_engine") is not None:
        count = 1
    else:
        count = 3 if metafunc.module.__name__.startswith(ON_THE_OLDEST_TOO) else 2
    metafunc.parametrize("engine", engines()[:count], scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what `make chaos` runs: whatever takes figures. With `--valkey` leave out what is about memory."""
    for item in items:
        if _FIGURES in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.faults)
    if config.getoption("--valkey"):
        left_out = [item for item in items if item.get_closest_marker("in_memory")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know how their test ended."""
    report = yield
    if call.when == "call":
        item.stash[_HAS_PASSED] = report.passed
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of all tests that have some."""
    reports = [report for of_outcome in terminalreporter.stats.values() for report in of_outcome]
    lines = [
        value
        for report in reports
        if isinstance(report, pytest.TestReport)
        for name, value in report.user_properties
        if name == _FIGURES
    ]
    if lines:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(["| What was done | Rounds | Figures |", *map(str, lines)]))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """Takes what a test measures."""
    test: pytest.Item = request.node
    figures = Figures(test.nodeid, test.name.partition("[")[0].removeprefix("test_").replace("_", " "))
    yield figures
    test.user_properties.append((_FIGURES, str(figures)))
    figures.keep(passed=test.stash.get(_HAS_PASSED, default=False))


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> None:
    for name in [name for name in os.environ if name.startswith("OSTIARY_")]:
        del os.environ[name]


@pytest.fixture(autouse=True, scope="session")
def _counting(pytestconfig: pytest.Config) -> Iterator[None]:
    """Let every server of this process count in a Valkey where that is asked for."""
    if not pytestconfig.getoption("--valkey"):
        yield
        return
    with Valkey("--databases", "20000") as valkey:
        _VALKEY.append(valkey.url)
        yield


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[Callable[[str], Postgres]]:
    """PostgreSQL servers by version, started when first asked for."""
    with ExitStack() as stack:

        @functools.cache
        def started(version: str) -> Postgres:
            return stack.enter_context(Postgres(available()[version], in_memory=True))

        yield started


@pytest.fixture(scope="session")
def new_database(engine: str, postgres_servers: Callable[[str], Postgres]) -> NewDatabase:
    """Makes an empty database of the engine; None stands for the SQLite file in a new data directory."""
    if engine == "sqlite":
        return lambda: None
    server = postgres_servers(engine.removeprefix("postgresql-"))
    return server.create_database


@pytest.fixture(scope="session")
def new_place(
    engine: str,
    new_database: NewDatabase,
    postgres_servers: Callable[[str], Postgres],
    tmp_path_factory: pytest.TempPathFactory,
) -> NewPlace:
    """Makes a data directory and an empty database: on PostgreSQL a copy of one with its schema, which is quicker."""
    if engine == "sqlite":
        return lambda: {"data_dir": tmp_path_factory.mktemp("data"), "database_url": None}
    original = settings_for_tests(tmp_path_factory.mktemp("original"), new_database())
    asyncio.run(_upgrade(original))
    copy = functools.partial(
        postgres_servers(engine.removeprefix("postgresql-")).create_database, original.database_url
    )
    return lambda: {"data_dir": tmp_path_factory.mktemp("data"), "database_url": copy()}


async def _upgrade(settings: Settings) -> None:
    database = open_database(settings)
    await upgrade_schema(database, settings, now=datetime.now(UTC))
    await database.close()


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest) -> None:
    """Let nobody be sent away for how fast this machine is, except where limits on waiting are what is looked at."""
    if not request.module.__name__.startswith(ABOUT_LIMITS):
        request.getfixturevalue("all_the_time")


@pytest.fixture
def all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everybody wait for PostgreSQL for a minute."""
    monkeypatch.setattr("ostiary.db.postgres.CONNECT_TIMEOUT_SECONDS", 30.0)
    monkeypatch.setattr("ostiary.db.postgres.TIME_LIMIT_SECONDS", 60.0)
    monkeypatch.setattr("ostiary.db.postgres.IDLE_LIMIT", "60s")
    monkeypatch.setattr("ostiary.db.database.REQUEST_LIMIT_SECONDS", 60.0)


@pytest.fixture(scope="module")
def server(new_place: NewPlace) -> Iterator[Server]:
    """A server that the tests of a module share: without request limits, its clock not to be moved."""
    with Server(settings_for_tests(**new_place())) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of the shared server."""
    with server.client() as client:
        yield client


@pytest.fixture
def make_server(new_place: NewPlace) -> Iterator[MakeServer]:
    """Starts servers of a test's own: `make_server(rate_limit=True)`. Given `like=server` it uses that one's data."""
    with ExitStack() as stack:

        def make(
            *,
            like: Server | None = None,
            change: Callable[[App], None] | None = None,
            real_hashing: bool = False,
            **options: Any,
        ) -> Server:
            if like is not None:
                options = {"data_dir": like.settings.data_dir, "database_url": like.settings.database_url} | options
            else:
                options = {**new_place(), **options}
            settings = settings_for_tests(options.pop("data_dir"), options.pop("database_url"), **options)
            return stack.enter_context(Server(settings, change=change, real_hashing=real_hashing))

        yield make


@pytest.fixture
def make_process(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeProcess]:
    """Starts `ostiary serve` on an empty database: `make_process("--host", "::1", OSTIARY_RATE_LIMIT="off")`."""
    with ExitStack() as stack:

        def make(*arguments: str, data_dir: Path | None = None, **environment: str) -> Process:
            data_dir = data_dir or tmp_path_factory.mktemp("process") / "data"
            url = new_database()
            if url is not None:
                environment = {"OSTIARY_DATABASE_URL": url} | environment
            return stack.enter_context(Process(data_dir, *arguments, environment=environment))

        yield make


def settings_for_tests(data_dir: Path, database_url: str | None, **options: Any) -> Settings:
    """Settings for a server in this process: limits and failure floor off unless asked for."""
    return Settings.load(
        data_dir=data_dir,
        database_url=database_url,
        **{
            "rate_limit": "off",
            "login_failure_floor": "0s",
            "access_log": "off",
            "mail_limit_per_source": _NO_LIMIT,
        }
        | _counting_of(database_url or data_dir)
        | options,
    )


def _counting_of(place: object) -> dict[str, str]:
    """In the server's memory, which goes by the clock that tests move; a Valkey has a clock of its own."""
    if not _VALKEY:
        return {"rate_limit_store": "memory"}
    number = _NUMBERS.setdefault(place, len(_NUMBERS))
    return {"rate_limit_store": "redis", "redis_url": f"{_VALKEY[0]}/{number}"}
