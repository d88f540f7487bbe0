"""One worker process beside two, on PostgreSQL: a figure, not a bar. Everything is left to the scheduler."""

from contextlib import ExitStack

from tests.parts.postgres import Postgres
from tools.bench import databases
from tools.bench.hot import OstiarySide, empty_directory
from tools.bench.load import LoadFailedError
from tools.bench.machine import CACHE
from tools.bench.results import Results
from tools.bench.servers import Ostiary

COUNTS = (1, 2)
WAYS = ("read", "refresh", "login")


def key(count: int, way: str) -> str:
    """Name a figure."""
    return f"workers-{count}.{way}"


def measure(results: Results, *, rounds: int, seconds: float, users: int) -> None:
    """Take each figure once in each round, with one worker and with two by turns, on one database."""
    with ExitStack() as stack:
        url = stack.enter_context(Postgres()).create_database()
        data_dir = empty_directory(CACHE / "several-data")
        where = ("--data-dir", str(data_dir), "--database-url", url)
        databases.fill(users, *where)
        databases.make_superuser(*where)
        for turn in range(1, rounds + 1):
            print(f"Several processes, round {turn} of {rounds}", flush=True)
            for count in COUNTS:
                with Ostiary(data_dir, database_url=url, core=None, workers=count) as server:
                    side = OstiarySide.of(server, users)
                    for way in WAYS:
                        try:
                            results.note_load(key(count, way), getattr(side, way)(seconds, turn * len(COUNTS) + count))
                        except LoadFailedError as failure:
                            results.fail(key(count, way), str(failure))
