"""The nightly backup that `deploy/` ships does what it says."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command import Installation
from tests.deploy.test_packaging import DEPLOY
from tests.server import clean_environment

SERVICE = DEPLOY / "systemd/ostiary-backup.service"
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.any_engine


def test_commands_make_a_backup_rehearse_it_and_remove_old_ones(tmp_path: Path) -> None:
    here = Installation(tmp_path / "data")
    here.make()
    backups = here.data_dir / "backups"
    backups.mkdir(mode=0o700)
    for name, age in (("ostiary-20200101T000000Z.backup", 15), ("ostiary-20990101T000000Z.backup.unfinished", 15)):
        (backups / name).touch()
        os.utime(backups / name, (time.time() - age * 24 * 3600,) * 2)
    kept = backups / "before-upgrade-from-0011-20200101T000000.db"
    kept.touch()
    os.utime(kept, (0, 0))
    text = SERVICE.read_text().replace("/opt/ostiary/bin", str(BIN)).replace("/var/lib/ostiary", str(here.data_dir))
    commands = [line.removeprefix("ExecStart=") for line in text.splitlines() if line.startswith("ExecStart=")]
    assert len(commands) == 3
    environment = clean_environment() | {"OSTIARY_DATA_DIR": str(here.data_dir)}
    for command in commands:
        subprocess.run(shlex.split(command), check=True, capture_output=True, env=environment, timeout=60)
    [made] = backups.glob("ostiary-*")
    assert made.stat().st_size > 1000
    assert kept.exists()
