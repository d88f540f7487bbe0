"""Base64url without padding, canonical only (RFC 7515 §2, RFC 4648 §3.5)."""

from binascii import a2b_base64, b2a_base64

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/", b"+/..")
"""The other alphabet's own characters become ones that are in none."""


def encode(raw: bytes) -> bytes:
    """Encode."""
    return b2a_base64(raw, newline=False).translate(_TO_URL, b"=")


def decode(part: bytes) -> bytes:
    """Decode base64url; whatever does not encode back to the same characters is refused (RFC 4648 §3.3 to §3.5)."""
    try:
        raw = a2b_base64(part.translate(_FROM_URL) + b"=" * (-len(part) % 4))
    except ValueError:
        raw = b""
    if encode(raw) != part:
        raise ValueError("not canonical base64url")
    return raw
