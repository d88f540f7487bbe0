"""Random tokens and ids that mean nothing by themselves, and the hashes they are stored as."""

import hmac
import secrets
from hashlib import sha256

_LEAST_BITS = 128  # where guessing matters (SK-1)


def new_token(bits: int = 256) -> str:
    """Make a url-safe random token of that many bits, at least 128 and whole bytes (SK-1).

    Raises ValueError for fewer bits, or a number that is not whole bytes.
    """
    if bits < _LEAST_BITS or bits % 8:
        raise ValueError(f"a token has at least {_LEAST_BITS} bits, in whole bytes")
    return secrets.token_urlsafe(bits // 8)


def new_id() -> str:
    """Make a random public id: 128 bits as 22 url-safe characters (SK-1).

    None begins with a hyphen: people type ids into commands, which would take such a one for an option.
    """
    made = secrets.token_urlsafe(16)
    return new_id() if made.startswith("-") else made


def token_hash(token: str) -> bytes:
    """Hash a token the way it is stored: SHA-256, 32 bytes (TK-8). Takes any text a caller may have sent."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def same(a: bytes, b: bytes) -> bool:
    """Tell whether two digests are equal, in constant time for equal lengths (SK-5)."""
    return len(a) == len(b) and hmac.compare_digest(a, b)
