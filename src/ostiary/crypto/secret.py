"""The one secret of an installation. Every other key is derived from it with HKDF and a purpose label."""

import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LEAST_BYTES = 32  # SK-2
_MOST_FILE_BYTES = 4096  # a larger file is some other file
_LEAST_DISTINCT_BYTES = 8  # 32 random hexadecimal digits have 14 on average, fewer than 8 in no installation ever
_FINGERPRINT_BYTES = 16

# What stands in sample configurations is never random; a random secret holds one of these words once in 10 million.
_SAMPLE_WORDS = (b"secret", b"password", b"changeme", b"change-me", b"change_me", b"example", b"sample", b"insecure")
# Published keys that look random and are copied all the same.
_PUBLISHED = frozenset(
    {
        b"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # FastAPI's tutorial
        b"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",  # RFC 7515 §A.1.1
        b"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",  # RFC 7520 §3.5
    }
)


class SecretError(Exception):
    """The secret cannot be used; the message is one line for the operator and never shows the secret."""


class Secret:
    """The installation's secret and, while it is being changed, the previous ones, newest first.

    Raises SecretError for one that is short, published or plainly not random (SK-2).
    """

    __slots__ = ("_secrets",)

    def __init__(self, current: bytes, previous: Sequence[bytes] = ()) -> None:
        self._secrets = (current, *previous)
        for name, value in zip(("secret", *["previous secret"] * len(previous)), self._secrets, strict=True):
            _refuse_weak(value, name)

    def __repr__(self) -> str:
        return "<Secret>"

    def derive(self, purpose: str, length: int = 32) -> bytes:
        """Derive the key of that many bytes for a purpose (RFC 5869); another purpose has an unrelated key."""
        return _hkdf(self._secrets[0], f"purpose:{purpose}", length)

    def derive_all(self, purpose: str, length: int = 32) -> list[bytes]:
        """Derive the keys for a purpose from the current secret and then from each previous one."""
        return [_hkdf(value, f"purpose:{purpose}", length) for value in self._secrets]

    @property
    def fingerprint(self) -> str:
        """The name of the current secret: 32 hexadecimal digits that say nothing about it, fit for the database."""
        return self.fingerprints[0]

    @property
    def fingerprints(self) -> list[str]:
        """The names of the current secret and each previous one, in the order of `derive_all`."""
        return [_hkdf(value, "fingerprint", _FINGERPRINT_BYTES).hex() for value in self._secrets]


def load_or_create(path: Path) -> bytes:
    """Read the secret from its file, or make the file with a new random secret when there is none.

    Of several processes that start at once one makes it and all answer the same secret.
    Raises SecretError when the file can be read by others than its owner, holds no usable secret,
    or cannot be read or made (SK-2).
    """
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            _create(path)
            return _read(path)
    except OSError as error:
        raise SecretError(f"secret file {path}: {error.strerror or error}") from error


def _read(path: Path) -> bytes:
    """Answer the file's content without its last line end; owner and mode are those of the very file that is read."""
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise SecretError(
                f"secret file {path}: others than its owner have access (mode {stat.S_IMODE(mode):04o}); chmod 600 it"
            )
        content = file.read(_MOST_FILE_BYTES + 1)
    if len(content) > _MOST_FILE_BYTES:
        raise SecretError(f"secret file {path}: larger than {_MOST_FILE_BYTES} bytes, so it is not a secret file")
    value = content.removesuffix(b"\n").removesuffix(b"\r")
    _refuse_weak(value, f"secret file {path}")
    return value


def _create(path: Path) -> None:
    """Make the file whole or not at all: it gets its name by a link, which fails when another process was first."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_urlsafe(LEAST_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _refuse_weak(value: bytes, name: str) -> None:
    """Raise SecretError for a secret that is short, published, a sample or plainly not random (SK-2)."""
    if len(value) < LEAST_BYTES:
        raise SecretError(f"{name}: too short, it has {len(value)} bytes and needs {LEAST_BYTES}")
    repeats = value in (value + value)[1:-1]
    if repeats or len(set(value)) < _LEAST_DISTINCT_BYTES:
        raise SecretError(f"{name}: not random, it repeats itself")
    if value in _PUBLISHED or any(word in value.lower() for word in _SAMPLE_WORDS):
        raise SecretError(f"{name}: a sample or published value; make one with `openssl rand -base64 32`")


def _hkdf(value: bytes, label: str, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=f"ostiary {label}".encode()).derive(value)
