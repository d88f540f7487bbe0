"""Programs of the system that tests need: found, or as root on Debian installed."""

import fcntl
import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POSTGRESQL = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs of PostgreSQL, by version."""
POLICY = Path("/usr/sbin/policy-rc.d")
"""What Debian's packages ask before they start a daemon: 101 is no."""


@functools.cache
def installed(*names: str, package: str = "") -> Path:
    """Find a program by one of its names; as root on Debian, install its package where there is none.

    The package is called like the program unless it is named. If it brings a daemon, that is not started.
    """
    found = _find(names)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        # The lock is on this very file: parallel test processes wait here for the one that installs.
        with Path(__file__).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = _find(names) or _install(names, package or names[0])
    if found is None:
        raise RuntimeError(f"no {names[0]} to test with: install Debian's `{package or names[0]}` or the like")
    return found


def _find(names: tuple[str, ...]) -> Path | None:
    # Daemons lie in sbin, which is on the PATH of few users, and PostgreSQL, the oldest first, on nobody's.
    places = [
        os.environ.get("PATH", os.defpath),
        "/usr/local/sbin",
        "/usr/sbin",
        *map(str, sorted(POSTGRESQL.glob("*/bin"))),
    ]
    on_path = next(filter(None, (shutil.which(name, path=os.pathsep.join(places)) for name in names)), None)
    return Path(on_path) if on_path else None


def _install(names: tuple[str, ...], package: str) -> Path | None:
    with _no_daemon_starts():
        _apt_get("update", wanted=package)
        _apt_get("install", "--yes", "--no-install-recommends", package, wanted=package)
    return _find(names)


@contextmanager
def _no_daemon_starts() -> Iterator[None]:
    """Forbid the start of daemons for as long as this lasts, where the system has no policy of its own."""
    try:
        with POLICY.open("x") as policy:
            policy.write("#!/bin/sh\nexit 101\n")
    except FileExistsError:
        yield
        return
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink()


def _apt_get(*arguments: str, wanted: str) -> None:
    answer = subprocess.run(
        ["apt-get", "--quiet", "--option=DPkg::Lock::Timeout=120", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if answer.returncode:
        raise RuntimeError(f"no {wanted} to test with, and apt-get {' '.join(arguments)} failed:\n{answer.stderr}")
