"""Sealing: AES-256-GCM for what must be readable again, bound to its place in the database (SK-3).

A sealed value is one format byte, 16 bytes of key version (the fingerprint of the secret it was sealed under),
12 bytes of nonce, then the ciphertext and its 16-byte tag. The key itself is never in the database.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ostiary.crypto.secret import Secret

_FORMAT = b"\x01"
_VERSION_END = 1 + 16
_NONCE_BYTES = 12  # 96 bits, NIST SP 800-38D §8.2.2: random nonces are good for 2**32 values under one key
_NONCE_END = _VERSION_END + _NONCE_BYTES
_TAG_BYTES = 16


class SealBroken(Exception):  # noqa: N818 - what happened to the value, in the words of the rule
    """The value was tampered with, belongs elsewhere, or was sealed under a secret that is not configured."""


class Sealer:
    """Seals and opens values for one purpose, under the current secret and, for opening, previous ones."""

    def __init__(self, secret: Secret, purpose: str) -> None:
        versions = [bytes.fromhex(fingerprint) for fingerprint in secret.fingerprints]
        self._current = versions[0]
        self._ciphers = {
            version: AESGCM(key) for version, key in zip(versions, secret.derive_all(purpose), strict=True)
        }

    def seal(self, plain: bytes, *, table: str, row: str | int, column: str) -> bytes:
        """Encrypt a value for its place under the current secret; the result is 45 bytes longer."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        place = _place(table, row, column, self._current)
        return _FORMAT + self._current + nonce + self._ciphers[self._current].encrypt(nonce, plain, place)

    def open(self, sealed: bytes, *, table: str, row: str | int, column: str) -> bytes:
        """Decrypt a value that was sealed for this place. Raises SealBroken for anything else."""
        version = _version(sealed)
        cipher = self._ciphers.get(version)
        if cipher is None:
            raise SealBroken("sealed under a secret that is not configured")
        nonce, ciphertext = sealed[_VERSION_END:_NONCE_END], sealed[_NONCE_END:]
        try:
            return cipher.decrypt(nonce, ciphertext, _place(table, row, column, version))
        except InvalidTag:
            raise SealBroken(f"{table}.{column}: not what was sealed for this row") from None

    def needs_resealing(self, sealed: bytes) -> bool:
        """Tell whether a value was sealed under another secret than the current one. Raises SealBroken if malformed."""
        return _version(sealed) != self._current


def _version(sealed: bytes) -> bytes:
    if len(sealed) < _NONCE_END + _TAG_BYTES or not sealed.startswith(_FORMAT):
        raise SealBroken("not a sealed value")
    return sealed[1:_VERSION_END]


def _place(table: str, row: str | int, column: str, version: bytes) -> bytes:
    """Write the associated data so that no two places read alike: every part after its length."""
    parts = (table.encode(), str(row).encode(), column.encode(), version)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
