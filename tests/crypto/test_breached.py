import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ostiary.crypto.breached import BreachedFileError, BreachedPasswords
from ostiary.problems import Unavailable

pytestmark = pytest.mark.rule("PW-3")


def hash_of(password: str) -> str:
    return sha1(password.encode()).hexdigest().upper()


def write(path: Path, passwords: list[str], *, line_end: str = "\n", counts: bool = True) -> Path:
    hashes = sorted(map(hash_of, passwords))
    lines = [f"{hash_}:{len(hash_) * index + 1}" if counts else hash_ for index, hash_ in enumerate(hashes)]
    path.write_bytes((line_end.join(lines) + line_end).encode())
    return path


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("counts", [True, False])
def test_finds_every_password_of_a_large_file_and_no_other(tmp_path: Path, line_end: str, *, counts: bool) -> None:
    passwords = [f"password{number}" for number in range(3000)]
    with BreachedPasswords(write(tmp_path / "list", passwords, line_end=line_end, counts=counts)) as breached:
        assert all(map(breached.contains, passwords))
        assert not any(breached.contains(f"other{number}") for number in range(3000))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(passwords=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=400, unique=True))
def test_finds_exactly_what_is_listed(tmp_path: Path, passwords: list[str]) -> None:
    listed, unlisted = passwords[::2], passwords[1::2]
    with BreachedPasswords(write(tmp_path / "list", listed)) as breached:
        assert all(map(breached.contains, listed))
        assert not any(map(breached.contains, unlisted))


def test_the_last_line_may_lack_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "list", ["one", "two"], counts=False)
    path.write_bytes(path.read_bytes()[:-1])
    with BreachedPasswords(path) as breached:
        assert breached.contains("one")
        assert breached.contains("two")


def test_no_text_makes_it_fail(tmp_path: Path) -> None:
    with BreachedPasswords(write(tmp_path / "list", ["one"])) as breached:
        assert not breached.contains("\ud800")
        assert not breached.contains("")


def test_serves_several_threads(tmp_path: Path) -> None:
    passwords = [f"password{number}" for number in range(2000)]
    path = write(tmp_path / "list", passwords)
    with BreachedPasswords(path) as breached, ThreadPoolExecutor(8) as pool:
        assert all(pool.map(breached.contains, passwords))


A, B = "A" * 40, "B" * 40


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("", "holds no hash", id="empty"),
        pytest.param("password\n123456\n", "holds no hash", id="short"),
        pytest.param("password\n" * 1000, "no upper-case SHA-1 hash", id="plain passwords"),
        pytest.param(f"{A}:1\n{B.lower()}:1\n", "no upper-case SHA-1 hash", id="lower case"),
        pytest.param("".join(f"{n:032X}:1\n" for n in range(9)), "no upper-case SHA-1 hash", id="NTLM"),
        pytest.param("".join(f"{n:064X}:1\n" for n in range(9)), "no upper-case SHA-1 hash", id="SHA-256"),
        pytest.param(f"\ufeff{A}\n{B}\n", "no upper-case SHA-1 hash", id="byte order mark"),
        pytest.param(f"{B}:2\n{A}:1\n", "not sorted", id="two lines the wrong way round"),
        pytest.param("".join(f"{9999 - n:040X}:{n}\n" for n in range(5000)), "not sorted", id="by count"),
        pytest.param(f"{A}:1\n{A}:1\n", "not sorted", id="twice the same"),
        pytest.param("\n".join([A, *["x" * 500] * 200, B]), "line that is too long", id="long lines"),
        pytest.param("\0" * 100_000, "no upper-case SHA-1 hash", id="zeros"),
    ],
)
def test_another_file_is_refused_with_one_clear_error(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "list"
    path.write_text(content, newline="")
    with pytest.raises(BreachedFileError, match=problem) as refusal:
        BreachedPasswords(path)
    assert str(path) in str(refusal.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        BreachedPasswords(tmp_path / "none")


@pytest.mark.timeout(20)
def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(BreachedFileError, match="is not a file"):
            BreachedPasswords(path)


def test_damage_found_in_a_look_up_refuses(tmp_path: Path) -> None:
    path = write(tmp_path / "list", [f"password{number}" for number in range(3000)])
    with BreachedPasswords(path) as breached:
        path.write_bytes(b"\0" * path.stat().st_size)
        with pytest.raises(Unavailable) as refusal:
            breached.contains("password1")
        assert str(path) in refusal.value.reason
        assert str(path) not in refusal.value.detail
