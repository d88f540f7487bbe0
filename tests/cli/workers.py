"""The processes that `serve --workers` starts."""

import json
from contextlib import suppress
from pathlib import Path

from tests.server import Process


def workers_of(process: Process) -> list[int]:
    """The workers that were started, in order."""
    lines = [line for line in process.log.read_text().splitlines() if "worker_started" in line]
    return [int(json.loads(line)["pid"]) for line in lines]


def is_running(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
