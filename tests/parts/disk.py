"""A small disk of its own, which can be filled and emptied while programs write to it.

with SmallDisk(tmp_path / "disk") as disk:
    disk.fill(pid)      # from now on nothing that grows can be written there
    disk.empty(pid)

It is a file system in memory. Where nobody may mount one (in most containers), the programs named are kept from making
any file longer instead, which to them is nearly the same: they are told that it is too large, not that space is out.
"""

import os
import resource
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

BLOCK = b"\0" * 65536
# Waits until this process is gone, however it went, or wants the disk to end.
KEEPER = 'cat > /dev/null; umount --lazy "$1" 2> /dev/null'


class SmallDisk:
    """The disk, mounted on a new directory while it lasts."""

    def __init__(self, path: Path, *, megabytes: int = 24, is_mounted: bool = True) -> None:
        self.path = path
        self.is_mounted = is_mounted
        self._megabytes = megabytes
        self._ballast = path / "ballast"

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True)
        if self.is_mounted:
            command = ["mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m", "ostiary-tests", str(self.path)]
            self.is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER if self.is_mounted else "cat > /dev/null", "keeper", self.path],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C must not end the one who cleans up
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._keeper.communicate()

    def fill(self, *pids: int) -> None:
        """Leave no byte free."""
        if not self.is_mounted:
            for pid in pids:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            return
        with suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while True:
                ballast.write(BLOCK)
        with suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while True:
                ballast.write(b"\0")

    def empty(self, *pids: int) -> None:
        """Give the space back."""
        if not self.is_mounted:
            for pid in pids:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            return
        os.truncate(self._ballast, 0)
