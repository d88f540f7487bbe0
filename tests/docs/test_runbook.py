"""The runbook: the lines for what no alert sees are typed as they stand, beside a running server."""

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.test_pages import blocks, commands
from tests.server import Process, clean_environment

PAGE = "docs/runbook.md"
PEOPLE = """
echo 'a-passphrase-of-your-own' | ostiary user create --email admin@example.com --username admin \\
    --superuser --password-stdin
echo 'another-passphrase-of-hers' | ostiary user create --email ann@example.com --username ann --password-stdin
"""
"""Whom the page speaks of."""


def test_what_the_runbook_types_does_what_it_says(tmp_path: Path) -> None:
    with Process(tmp_path / "ostiary-data") as process:
        script = PEOPLE + "\n".join(commands(block) for block in blocks(PAGE, "console"))
        script = script.replace("localhost:8000", process.url.removeprefix("http://"))
        environment = clean_environment() | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        ran = subprocess.run(
            ["bash", "-ec", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for expected in (
        "User 2 (ann@example.com, ann) is mailed a link to choose a new password by.",
        " signs from now on.",
        " is revoked.",
        "restored",
        "is up to date",
        '"status":"healthy"',
    ):
        assert expected in ran.stdout
