"""Base64url without padding, canonical only (RFC 7515 §2, RFC 4648 §3.5)."""

import base64


def encode(raw: bytes) -> bytes:
    """Encode."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def decode(part: bytes) -> bytes:
    """Decode base64url; whatever does not encode back to the same characters is refused (RFC 4648 §3.3 to §3.5)."""
    try:
        raw = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        raw = b""
    if encode(raw) != part:
        raise ValueError("not canonical base64url")
    return raw
