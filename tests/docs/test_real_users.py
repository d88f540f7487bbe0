"""The guide for those who run it for real users: its lines are typed as they stand, its settings are loaded."""

import subprocess
import sys
from pathlib import Path

from tests.docs.test_pages import ROOT, blocks
from tests.docs.typed import typed
from tests.server import clean_environment

PAGE = "docs/real-users.md"


def test_what_the_guide_types_does_what_it_says(tmp_path: Path) -> None:
    printed = typed(PAGE, tmp_path)
    assert '"detail":' not in printed, printed
    for expected in (
        "User 1 (admin@example.com, admin) was made, a superuser.",
        '"id":2,"email":"alice@example.com"',
        '{"name":"support"',
        '"event":"sessions_ended"',
        '"email":"nightly-export@service.invalid"',
    ):
        assert expected in printed


def test_the_settings_of_the_guide_can_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "ostiary.toml"
    file.write_text(blocks(PAGE, "toml")[0])
    environment = clean_environment() | {"OSTIARY_CONFIG_FILE": str(file)}
    command = [sys.executable, "-m", "ostiary", "config"]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "https://accounts.example.com" in ran.stdout


def test_every_page_of_the_documentation_can_be_reached() -> None:
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    linked = {name for name in pages if f"docs/{name}" in (ROOT / "README.md").read_text()}
    guide = (ROOT / PAGE).read_text()
    linked |= {name for name in pages if f"({name}" in guide}
    assert pages - linked == set()
