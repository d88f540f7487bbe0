"""P9 and P10, and the floors: what one process costs, how fast users come in, what nobody can be faster than."""

import shutil
import subprocess
import sys
import time

from tools.bench import databases
from tools.bench.hot import USERS
from tools.bench.machine import CACHE, ROOT, SERVER_CORE, pinned, pss_mb, rss_mb
from tools.bench.results import Results
from tools.bench.servers import BIN, Ostiary, PocketBase, environment

STARTS = 5
SETTLE_SECONDS = 3.0


def floors(results: Results, bars: set[str], *, rounds: int, seconds: float) -> None:
    """Measure bare indexed reads on the server's core; the other floors are taken beside what they are set against."""
    if "P1" not in bars:
        return
    file = databases.ostiary(USERS) / "ostiary.db"
    command = [sys.executable, "-m", "tools.bench.floors", "sqlite", f"{seconds}", str(file)]
    for _ in range(rounds):
        ended = subprocess.run(pinned(command, SERVER_CORE), capture_output=True, text=True, check=True, cwd=ROOT)
        results.note("bare.sqlite", float(ended.stdout), "/s")


def idle(results: Results) -> None:
    """Start both servers several times on a database that is there, and look at what they hold when nobody asks."""
    place, peer = databases.ostiary(USERS), databases.pocketbase(USERS)
    for _ in range(STARTS):
        with Ostiary(place) as server:
            results.note("single.start", server.started_in_seconds, "s")
            time.sleep(SETTLE_SECONDS)
            results.note("single.idle", pss_mb(server.pid), "MB")
            results.note("single.idle-rss", rss_mb(server.pid), "MB")
        with PocketBase(peer) as other:
            results.note("pocketbase.start", other.started_in_seconds, "s")
            time.sleep(SETTLE_SECONDS)
            results.note("pocketbase.idle", pss_mb(other.pid), "MB")


def imports(results: Results, *, users: int) -> None:
    """Import users with ready hashes into a new SQLite database, by the command that people use."""
    file = databases.import_file(users)
    data_dir = CACHE / "import-data"
    shutil.rmtree(data_dir, ignore_errors=True)
    where = ["--data-dir", str(data_dir)]
    databases.make_superuser(*where)  # a new installation; only the import itself is timed
    began = time.perf_counter()
    command = [str(BIN / "ostiary"), "user", "import", str(file), *where]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(), cwd=ROOT)
    taken = time.perf_counter() - began
    if ended.returncode:
        raise RuntimeError(f"`ostiary user import` failed: {(ended.stderr or ended.stdout).strip()[-300:]}")
    total, _ = databases.rows(data_dir)
    if total != users + 1:
        raise RuntimeError(f"{total - 1} of {users} users were imported")
    shutil.rmtree(data_dir)
    results.note("single.import", users / taken, "/s")
