"""Signed tokens: JWS compact and nothing else, checked strictly before joserfc sees a byte (TK-1, TK-2).

A token is three parts of canonical base64url, at most 4 KiB. Its header holds `typ`, `alg` and `kid`, once each and
nothing more, so no key, URL or extension inside a token is ever used (RFC 8725 §3.1, §3.10). The key is found by
`kid` among our own and fixes the algorithm. From joserfc come the keys and the algorithms; its own parser is not used,
because it takes repeated members and headers we refuse.

    verify
    ├── open_token      parts, header, key, signature, strict JSON   true for good once true, so it may be cached
    └── check_claims    each claim's type and value, at a moment     asked every time
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from joserfc.jws import JWSRegistry

from ostiary.crypto.base64url import decode, encode
from ostiary.crypto.jwk import SigningKey, VerificationKey

MOST_TOKEN_BYTES = 4096  # TK-1
_LAST_SECOND = 253_402_300_799  # the end of the year 9999, the last that a datetime can hold
IAT_AHEAD_SECONDS = 60
"""How far ahead `iat` may be: a token of a sister node is good at once though its clock is ahead of ours.
`exp` has no such tolerance, so that no token lives longer than it says (TK-2)."""


class TokenRefused(Exception):  # noqa: N818 - a refusal we meant to give is not an error of the program
    """A token that is not accepted. The reason is for the log: a fixed phrase, nothing of what was presented."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class UnknownKey(TokenRefused):
    """The token names a key that is not among ours; the key set may have been read too long ago."""


# --- signing ---


def sign(claims: Mapping[str, Any], key: SigningKey, *, typ: str = "JWT") -> str:
    """Sign claims, in the order given, as a JWS in compact form (RFC 7515 §7.1).

    The header is `typ`, `alg`, `kid` in that order. Under an HS256 key equal claims give equal tokens, byte for byte.
    Raises ValueError for a token over 4 KiB, which nobody would accept.
    """
    return sign_payload(_WRITER.encode(dict(claims)), key, typ=typ)


def sign_payload(payload: str, key: SigningKey, *, typ: str = "JWT") -> str:
    """Sign claims that are JSON already. As `sign`."""
    signing_input = _header_segment(typ, key.algorithm, key.kid) + b"." + encode(payload.encode())
    token = signing_input + b"." + encode(JWSRegistry.algorithms[key.algorithm].sign(signing_input, key.material))
    if len(token) > MOST_TOKEN_BYTES:
        raise ValueError(f"the token would have {len(token)} bytes, and {MOST_TOKEN_BYTES} are allowed")
    return token.decode("ascii")


@lru_cache(maxsize=64)
def _header_segment(typ: str, algorithm: str, kid: str) -> bytes:
    return encode(_WRITER.encode({"typ": typ, "alg": algorithm, "kid": kid}).encode())


# --- checking ---


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token that was accepted; `issued_at` and `expires_at` are seconds since 1970."""

    issuer: str
    audience: str
    subject: str
    issued_at: int
    expires_at: int
    jti: str
    sid: str
    token_use: str
    members: Mapping[str, Any]
    """All members of the payload, those above among them."""


def verify(
    token: str,
    keys: Mapping[str, VerificationKey],
    *,
    typ: str = "JWT",
    issuer: str,
    audience: str,
    token_use: str,
    now: datetime,
) -> Claims:
    """Accept a token for one purpose at a moment (RFC 8725 §3; TK-1, TK-2).

    Raises UnknownKey when its kid is not among the keys, TokenRefused for every other reason, nothing else.
    """
    members = open_token(token, keys, typ=typ)
    return check_claims(members, issuer=issuer, audience=audience, token_use=token_use, now=now)


def open_token(token: str, keys: Mapping[str, VerificationKey], *, typ: str) -> Mapping[str, Any]:
    """Check everything about a token that time does not change, and answer its payload's members.

    Raises UnknownKey, TokenRefused.
    """
    presented = _parse(token)
    header = presented.header
    if len(header) != len(_HEADER_MEMBERS) or header["typ"] != typ:
        raise TokenRefused("header incomplete or of another type")
    key = keys.get(header["kid"])
    if key is None:
        raise UnknownKey("unknown key")
    _check_signature(presented, key)
    return MappingProxyType(_read_object(presented.payload))


def check_signature(token: str, key: VerificationKey) -> bytes:
    """Check the form and signature of a token under one key, whatever its type, and answer the payload unread.

    The header may leave out `typ` and `kid` here, and holds nothing but these and `alg`. Raises TokenRefused.
    """
    presented = _parse(token)
    _check_signature(presented, key)
    return presented.payload


_CLAIM_TYPES = {"iss": str, "aud": str, "sub": str, "iat": int, "exp": int, "jti": str, "sid": str, "token_use": str}


def check_claims(members: Mapping[str, Any], *, issuer: str, audience: str, token_use: str, now: datetime) -> Claims:
    """Check that each claim is there, of exactly its type, and right for this purpose and moment (TK-2).

    `now` is an aware moment. Raises TokenRefused.
    """
    for name, kind in _CLAIM_TYPES.items():
        if type(members.get(name)) is not kind:  # a bool is an int to isinstance
            raise TokenRefused(f"{name} missing or not of its type")
    for name, expected in (("iss", issuer), ("aud", audience), ("token_use", token_use)):
        if members[name] != expected:
            raise TokenRefused(f"another {name}")
    if not (members["sub"] and members["jti"] and members["sid"]):
        raise TokenRefused("sub, jti or sid empty")
    issued_at, expires_at, seconds = members["iat"], members["exp"], now.timestamp()
    if not (0 <= issued_at <= seconds + IAT_AHEAD_SECONDS and expires_at <= _LAST_SECOND):
        raise TokenRefused("iat or exp out of range")
    if seconds >= expires_at:
        raise TokenRefused("expired")
    return Claims(
        issuer, audience, members["sub"], issued_at, expires_at, members["jti"], members["sid"], token_use, members
    )


class _Presented(NamedTuple):
    """A token taken apart; nothing in it is to be believed yet."""

    header: Mapping[str, str]
    signing_input: bytes
    payload: bytes
    signature: bytes


_HEADER_MEMBERS = frozenset({"typ", "alg", "kid"})


def _parse(token: str) -> _Presented:
    if type(token) is not str or len(token) > MOST_TOKEN_BYTES or not token.isascii():
        raise TokenRefused("not ASCII text of at most 4 KiB")
    parts = token.encode("ascii").split(b".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature (RFC 7515 §7.1)
        raise TokenRefused("not three parts")
    return _Presented(_read_header(parts[0]), parts[0] + b"." + parts[1], _decode(parts[1]), _decode(parts[2]))


@lru_cache(maxsize=64)  # a key's tokens all begin with the same header
def _read_header(segment: bytes) -> Mapping[str, str]:
    header = _read_object(_decode(segment))
    if "alg" not in header or not header.keys() <= _HEADER_MEMBERS:
        raise TokenRefused("header members missing or not allowed")
    if not all(type(value) is str for value in header.values()):
        raise TokenRefused("header member not text")
    return MappingProxyType(header)


def _check_signature(presented: _Presented, key: VerificationKey) -> None:
    if presented.header["alg"] != key.algorithm:
        raise TokenRefused("not the algorithm of the key")
    if not JWSRegistry.algorithms[key.algorithm].verify(presented.signing_input, presented.signature, key.material):
        raise TokenRefused("signature does not match")


# --- encodings ---


def _decode(part: bytes) -> bytes:
    try:
        return decode(part)
    except ValueError:
        raise TokenRefused("not canonical base64url") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a number JSON can write")
    return number


_WRITER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_READER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite)


def _read_object(raw: bytes) -> dict[str, Any]:
    """Read a JSON object: UTF-8, members unique at every level, finite numbers, whole characters (RFC 7493 §2)."""
    try:
        text = raw.decode("utf-8")
        value = _READER.decode(text)
        if "\\u" in text:
            _WRITER.encode(value).encode("utf-8")  # fails for half of a surrogate pair
    except (ValueError, RecursionError):
        raise TokenRefused("not strict JSON") from None
    if not isinstance(value, dict):
        raise TokenRefused("not a JSON object")
    return value
