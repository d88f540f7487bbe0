"""A Chromium for tests that need a real browser."""

import functools
import os
from pathlib import Path

from tests.parts.debian import installed

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_APPLICATIONS = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)

PATIENCE_MS = 60_000
"""How long a page may take on a busy machine."""

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
    on_a_mac = next((application for application in MAC_APPLICATIONS if application.exists()), None)
    return on_a_mac or installed(*NAMES)
