"""The one secret: what is derived from it, and the file it lives in."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ostiary.crypto.secret import Secret, SecretError, load_or_create

FIRST = bytes(range(32))
SECOND = bytes(range(32, 64))


def _file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "secret.key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_keys_differ_by_purpose_and_secret() -> None:
    secret = Secret(FIRST)
    keys = {secret.derive("refresh"), secret.derive("cursor"), Secret(SECOND).derive("refresh")}
    assert len(keys) == 3
    assert all(len(key) == 32 for key in keys)
    assert len(secret.derive("refresh", 64)) == 64


def test_derivation_never_changes() -> None:
    """HKDF-SHA-256 with the purpose as info: another outcome would make every sealed value unreadable."""
    expected = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"ostiary purpose:refresh").derive(FIRST)
    assert Secret(FIRST).derive("refresh") == expected


def test_previous_secrets_come_after_the_current_one() -> None:
    secret = Secret(SECOND, [FIRST])
    assert secret.derive_all("seal") == [Secret(SECOND).derive("seal"), Secret(FIRST).derive("seal")]
    assert secret.fingerprints == [Secret(SECOND).fingerprint, Secret(FIRST).fingerprint]
    assert secret.fingerprint == Secret(SECOND).fingerprint


def test_fingerprint_is_no_key_anybody_can_ask_for() -> None:
    secret = Secret(FIRST)
    assert len(secret.fingerprint) == 32
    assert secret.fingerprint != secret.derive("fingerprint", 16).hex()


def test_secret_does_not_show_itself() -> None:
    secret = Secret(b"Zq8mTr4xVb1nKw7cYp3sLd9fHg2jQe5u")
    assert repr(secret) == str(secret) == f"{secret}" == "<Secret>"
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        bytes(range(31)),
        b"x" * 64,
        b"deadbeef" * 8,
        b"0123456789abcdef" * 4,
        b"change-me-change-me-change-me-1234567890",
        b"your-256-bit-secret-your-256-bit-key",
        b"a-string-Secret-at-least-256-bits-long",
        b"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    ],
)
@pytest.mark.rule("SK-2")
def test_short_sample_and_published_secrets_are_refused(value: bytes, tmp_path: Path) -> None:
    with pytest.raises(SecretError, match=r"^secret: "):
        Secret(value)
    with pytest.raises(SecretError, match=r"^previous secret: "):
        Secret(FIRST, [value])
    with pytest.raises(SecretError, match="secret file") as refusal:
        load_or_create(_file(tmp_path, value + b"\n"))
    assert "\n" not in str(refusal.value)
    assert not value or value.decode("latin-1") not in str(refusal.value)


@pytest.mark.rule("SK-1", "SK-2")
def test_first_start_makes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    value = load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == value + b"\n"
    assert len(value) == 43
    assert load_or_create(path) == value
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret.key"]
    assert load_or_create(tmp_path / "another.key") != value


def test_many_first_starts_at_once_agree(tmp_path: Path) -> None:
    for attempt in range(20):
        path = tmp_path / f"{attempt}.key"
        with ThreadPoolExecutor(8) as pool:
            values = set(pool.map(load_or_create, [path] * 8))
        assert len(values) == 1
    assert len(list(tmp_path.iterdir())) == 20


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o660, 0o777])
@pytest.mark.rule("SK-2")
def test_file_open_to_others_is_refused(mode: int, tmp_path: Path) -> None:
    path = _file(tmp_path, FIRST.hex().encode(), mode)
    with pytest.raises(SecretError, match=f"others than its owner have access \\(mode {mode:04o}\\); chmod 600"):
        load_or_create(path)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_one_line_end_is_not_part_of_the_secret(end: bytes, tmp_path: Path) -> None:
    assert load_or_create(_file(tmp_path, FIRST.hex().encode() + end, 0o400)) == FIRST.hex().encode()


def test_unusable_paths_are_one_clear_line(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in (folder, loop, tmp_path / "no such folder" / "secret.key", _file(tmp_path, bytes(range(256)) * 20)):
        with pytest.raises(SecretError, match=r"^secret file /[^\n]*: [^\n]+$"):
            load_or_create(path)
