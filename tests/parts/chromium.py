"""A Chromium for tests that need a real browser."""

import fcntl
import functools
import os
import shutil
import subprocess
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_APPLICATIONS = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)

# For Playwright's launch(executable_path=chromium(), args=LAUNCH_ARGS): the browser speaks to nobody but the test.
LAUNCH_ARGS = [
    "--headless",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]


@functools.cache
def chromium() -> Path:
    """Find the system's Chromium or Chrome; as root on Debian, install it where there is none."""
    found = _installed()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        # The lock is on this very file: parallel test processes wait here for the one that installs.
        with Path(__file__).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = _installed() or _install()
    if found is None:
        raise RuntimeError("no browser to test with: install Chromium or Google Chrome")
    return found


def _installed() -> Path | None:
    on_path = next(filter(None, map(shutil.which, NAMES)), None)
    if on_path:
        return Path(on_path)
    return next((application for application in MAC_APPLICATIONS if application.exists()), None)


def _install() -> Path | None:
    _apt_get("update")
    _apt_get("install", "--yes", "--no-install-recommends", "chromium")
    return _installed()


def _apt_get(*arguments: str) -> None:
    answer = subprocess.run(
        ["apt-get", "--quiet", "--option=DPkg::Lock::Timeout=120", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if answer.returncode:
        raise RuntimeError(f"no browser to test with, and apt-get {' '.join(arguments)} failed:\n{answer.stderr}")
