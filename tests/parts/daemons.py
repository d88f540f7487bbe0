"""Daemons in a directory of their own: started, killed by their own pid, and gone with pytest, however that ends."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.parts.postgres import Identity, children, identity

POLL_SECONDS = 0.2

# Waits until this process is gone, then kills what was started, and after it PostgreSQL's servers, which Patroni
# starts: in order, since one that is killed leaves its shared memory behind. A pid that is no longer ours has its
# working directory elsewhere.
KEEPER = """
cat > /dev/null
for file in "$1"/pids/*; do
    pid=$(basename "$file")
    case $(readlink "/proc/$pid/cwd") in "$1"*) kill -KILL "$pid" ;; esac
done
for file in $(find "$1" -name postmaster.pid); do
    pid=$(head -n 1 "$file")
    case $(readlink "/proc/$pid/cwd") in "$1"*) kill -CONT "$pid"; kill -QUIT "$pid" ;; esac
    for _ in $(seq 60); do [ -e "$file" ] && [ -e "/proc/$pid" ] || break; sleep 0.1; done
done
rm -rf "$1"
"""


class Daemons:
    """Programs that run below one directory; as a user who is not root, unless they may be."""

    def __init__(self, *, may_be_root: bool = False) -> None:
        self.identity: Identity = {} if may_be_root else identity()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        base = "/tmp" if self.identity else None  # TMPDIR may be closed to the user that they run as
        self.directory = Path(tempfile.mkdtemp(prefix="ostiary-daemons-", dir=base))
        (self.directory / "pids").mkdir()
        self.own(self.directory)
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "keeper", self.directory],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C must not end the one who cleans up
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._keeper.communicate()
        for process in self._running.values():
            process.wait(10)

    def own(self, path: Path) -> None:
        """Give a file or directory to the user that the daemons run as."""
        if self.identity:
            shutil.chown(path, self.identity["user"], self.identity["group"])

    def write(self, name: str, text: str) -> Path:
        """Write a file that only the daemons' user may read."""
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(text)
        self.own(path)
        return path

    def start(self, name: str, *command: str | Path, environment: Mapping[str, str] | None = None) -> None:
        """Start a daemon that stays in the foreground; what it says goes to its log."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "PYTHON"))}
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=inherited | {"HOME": str(self.directory)} | dict(environment or {}),
                start_new_session=True,
                **self.identity,
            )
        (self.directory / "pids" / str(process.pid)).touch()
        self._running[name] = process

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a daemon a signal."""
        self._running[name].send_signal(number)

    def kill(self, name: str) -> None:
        """Kill a daemon."""
        process = self._running[name]
        process.kill()
        process.wait(10)

    def log(self, name: str) -> str:
        """Read what a daemon has said."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def wait_until(self, true: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until it is so; where it does not come to be, say so with the logs."""
        deadline = time.monotonic() + seconds
        while not true():
            ended = [name for name, process in self._running.items() if process.returncode is None and process.poll()]
            if ended or time.monotonic() > deadline:
                logs = "\n".join(f"--- {name}\n{self.log(name)[-8000:]}" for name in ended or self._running)
                why = f"{', '.join(ended)} ended" if ended else f"not within {seconds:.0f} seconds"
                raise TimeoutError(f"{what}: {why}\n{logs}")
            time.sleep(POLL_SECONDS)


def kill_family(pid: int) -> None:
    """Kill a process and its children at once, as when their machine loses power."""
    os.kill(pid, signal.SIGSTOP)  # first, so that it starts no process that we miss
    for member in (*children(pid), pid):
        os.kill(member, signal.SIGKILL)
