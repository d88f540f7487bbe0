"""Every rule of docs/security.md has a test that shows it, and code that keeps it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "security.md"
ROW = re.compile(r"^\| ([A-Z]{1,2}-?\d+) \| (.+) \| (.+) \|$", re.MULTILINE)

# The requirements themselves, where they lie beside the repository: those marked [C] are the core's.
REQUIREMENTS = Path(os.environ.get("SECURITY_RULES") or ROOT.parent / "shared" / "design" / "security.md")
REQUIREMENT = re.compile(r"^- \*\*([A-Z]{1,2}-?\d+)\b(.*)$", re.MULTILINE)


def check(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "rules.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_every_rule_has_a_test() -> None:
    ended = check()
    assert ended.returncode == 0, ended.stdout
    assert "without a test" not in ended.stdout


def test_every_rule_stands_once_and_where_it_is_kept() -> None:
    rows = ROW.findall(PAGE.read_text())
    ids = [rule for rule, _, _ in rows]
    assert len(ids) == len(set(ids)) > 40
    for rule, sentence, places in rows:
        assert sentence.endswith("."), rule
        for place in places.split(", "):
            assert (ROOT / "src" / "ostiary" / place.strip("`")).is_file(), f"{rule}: {place}"


@pytest.mark.skipif(not REQUIREMENTS.is_file(), reason=f"no requirements at {REQUIREMENTS}; set SECURITY_RULES")
def test_page_leaves_no_core_requirement_out() -> None:
    requirements = dict(REQUIREMENT.findall(REQUIREMENTS.read_text()))
    core = {rule for rule, text in requirements.items() if "[C" in text}
    ours = {rule for rule, _, _ in ROW.findall(PAGE.read_text())}
    assert core - ours == set()
    assert ours - requirements.keys() == set()


@pytest.mark.parametrize(
    ("tests", "code", "said"),
    [
        ("import pytest\n@pytest.mark.rule('AA-1', 'D9')\ndef test_a(): ...\n", 0, "AA-1     1\nD9       1\n"),
        ("import pytest\n@pytest.mark.rule('D9')\ndef test_a(): ...\n", 1, "without a test: AA-1\n"),
        ("import pytest\npytestmark = pytest.mark.rule('D9', 'AA-1')\n", 1, "without a test: AA-1, D9\n"),
        (
            "import pytest\npytestmark = [pytest.mark.rule('D9')]\n@pytest.mark.rule('AA-1')\nclass TestA(M): ...\n",
            0,
            "AA-1     1\nD9       1\n",
        ),
        (
            "import pytest\n@pytest.mark.rule('AA-1', 'D9', 'AA-2')\ndef test_a(): ...\n",
            1,
            "marked, but not on the page: AA-2\n",
        ),
    ],
)
def test_check_counts_and_can_fail(tmp_path: Path, tests: str, code: int, said: str) -> None:
    page, folder = tmp_path / "page.md", tmp_path / "tests"
    page.write_text("| Rule | What | Where |\n| --- | --- | --- |\n| AA-1 | One. | `x` |\n| D9 | Two. | `y` |\n")
    folder.mkdir()
    (folder / "test_planted.py").write_text(tests)
    ended = check("--page", str(page), "--tests", str(folder))
    assert ended.returncode == code
    assert ended.stdout.endswith(said)
