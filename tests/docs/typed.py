"""Typing the lines of a page as somebody does who reads it, beside a server."""

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.test_pages import blocks, commands
from tests.server import Process, clean_environment


def typed(page: str, directory: Path, *, before: str = "") -> str:
    """Type all console blocks of a page, after some lines of the test's own; answer what was printed."""
    with Process(directory / "ostiary-data") as process:
        script = before + "\n".join(commands(block) for block in blocks(page, "console"))
        script = script.replace("localhost:8000", process.url.removeprefix("http://"))
        environment = clean_environment() | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        ran = subprocess.run(
            ["bash", "-ec", script],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
