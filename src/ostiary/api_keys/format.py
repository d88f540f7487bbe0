"""How a key is written: `ost_<id>_<secret><checksum>` (AK-1).

All parts are of letters and digits, so that a double click takes the whole, and of fixed length. The prefix and the
checksum let secret scanners tell a key from anything else, and us a slip of the pen without asking the database:
`ost_[0-9A-Za-z]{22}_[0-9A-Za-z]{49}`, whose last six characters are the CRC-32 of all before them.
"""

import re
import secrets
import zlib
from typing import NamedTuple

from ostiary.crypto.opaque import token_hash
from ostiary.problems import InvalidCredentials

PREFIX = "ost_"

ID_BITS = 128
SECRET_BITS = 256

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH, _SECRET_LENGTH, _CHECKSUM_LENGTH = 22, 43, 6
"""As many of 62 digits as 128, 256 and 32 bits need."""

_KEY = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}}")


class NewKey(NamedTuple):
    """A key that was just made: its public id, what is stored, and the whole, which only its owner gets to see."""

    id: str
    key_hash: bytes
    plain: str


class PresentedKey(NamedTuple):
    """A key that has the right form: the id it names, and the hash of all of it."""

    id: str
    key_hash: bytes


def new_key() -> NewKey:
    """Make a key at random."""
    key_id = _digits(secrets.randbits(ID_BITS), _ID_LENGTH)
    body = f"{PREFIX}{key_id}_{_digits(secrets.randbits(SECRET_BITS), _SECRET_LENGTH)}"
    plain = body + checksum(body)
    return NewKey(key_id, token_hash(plain), plain)


def read_key(presented: str) -> PresentedKey:
    """Read a key. Raises InvalidCredentials for what no key of ours looks like."""
    found = _KEY.fullmatch(presented)
    if found is None:
        raise InvalidCredentials(reason="API key: not of the right form")
    if checksum(presented[:-_CHECKSUM_LENGTH]) != presented[-_CHECKSUM_LENGTH:]:
        raise InvalidCredentials(reason="API key: wrong checksum")
    return PresentedKey(found[1], token_hash(presented))


def checksum(body: str) -> str:
    """Answer the checksum of a key's text before it. It guards against slips, not against anybody."""
    return _digits(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _digits(number: int, length: int) -> str:
    """Write a number in digits of 62, with zeros before it."""
    written = ""
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        written = _DIGITS[digit] + written
    return written
