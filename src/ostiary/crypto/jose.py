"""Signed tokens: JWS compact and nothing else, checked strictly before joserfc sees a byte (TK-1, TK-2).

A token is three parts of canonical base64url, at most 4 KiB. Its header holds `typ`, `alg` and `kid`, once each and
nothing more, so no key, URL or extension inside a token is ever used (RFC 8725 §3.1, §3.10). The key is found by
`kid` among our own and fixes the algorithm. From joserfc come the keys and the algorithms; its own parser is not used,
because it takes repeated members and headers we refuse.

    verify
    ├── open_token      parts, header, key, signature, strict JSON   true for good once true, so it may be cached
    └── check_claims    each claim's type and value, at a moment     asked every time
"""

import base64
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import base64_to_int

from ostiary.crypto.opaque import new_id

Algorithm = Literal["ES256", "EdDSA", "RS256", "HS256"]

MOST_TOKEN_BYTES = 4096  # TK-1
_LEAST_SECRET_CHARACTERS = 43  # 32 bytes in base64url (RFC 7518 §3.2)
_RSA_BITS = range(2048, 4096 + 1)  # TK-1; the upper end bounds what a check may cost
_LEAST_RSA_EXPONENT = 65537  # FIPS 186-5 §A.1.1
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


class KeyRefused(ValueError):  # noqa: N818 - the same
    """A JWK that cannot be used here; the message shows nothing of the key."""


class _Kind(NamedTuple):
    """How an algorithm's keys look as JWK (RFC 7518 §6, RFC 8037 §2), and how a new one is made."""

    kty: str
    crv: str | None
    public: tuple[str, ...]
    private: tuple[str, ...]
    material: type[ECKey | OKPKey | RSAKey | OctKey]
    generate: Callable[[], Key]


_KINDS: Mapping[str, _Kind] = {
    "ES256": _Kind("EC", "P-256", ("crv", "x", "y"), ("d",), ECKey, partial(ECKey.generate_key, "P-256")),
    "EdDSA": _Kind("OKP", "Ed25519", ("crv", "x"), ("d",), OKPKey, partial(OKPKey.generate_key, "Ed25519")),
    "RS256": _Kind(
        "RSA", None, ("n", "e"), ("d", "p", "q", "dp", "dq", "qi"), RSAKey, partial(RSAKey.generate_key, 2048)
    ),
    "HS256": _Kind("oct", None, ("k",), (), OctKey, partial(OctKey.generate_key, 256)),
}
_OTHER_USES = frozenset({"encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits"})  # RFC 7517 §4.3


# --- keys ---


@dataclass(frozen=True, slots=True, eq=False)
class VerificationKey:
    """A key that checks signatures, in one algorithm only."""

    kid: str
    algorithm: str
    material: Key = field(repr=False)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> "VerificationKey":
        """Read a JWK; private members are left unread. Raises KeyRefused."""
        return cls(*_read_jwk(jwk, private=False))


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A key that signs, in one algorithm only."""

    kid: str
    algorithm: str
    material: Key = field(repr=False)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> "SigningKey":
        """Read a private JWK, as `private_jwk` wrote it. Raises KeyRefused."""
        return cls(*_read_jwk(jwk, private=True))

    def private_jwk(self) -> dict[str, Any]:
        """Write the whole key, for sealing; never for anybody else."""
        return self._named(self.material.as_dict(private=True))

    def public_jwk(self) -> dict[str, Any]:
        """Write the public part for the key set (RFC 7517 §4). Raises ValueError for HS256, which has none."""
        if self.algorithm == "HS256":
            raise ValueError("an HS256 key has no public part")
        return self._named(self.material.as_dict(private=False))

    def verification_key(self) -> VerificationKey:
        """Answer the key that checks what this one signed."""
        jwk = self.private_jwk() if self.algorithm == "HS256" else self.public_jwk()
        return VerificationKey.from_jwk(jwk)

    def _named(self, members: Mapping[str, Any]) -> dict[str, Any]:
        return {**members, "use": "sig", "alg": self.algorithm, "kid": self.kid}


def generate_key(algorithm: Algorithm, kid: str | None = None) -> SigningKey:
    """Make a new key: P-256, Ed25519, RSA of 2048 bits or 256 random bits. Its kid is random unless given."""
    return SigningKey(kid or new_id(), algorithm, _KINDS[algorithm].generate())


def shared_key(secret: bytes, kid: str) -> SigningKey:
    """Make the HS256 key of these bytes. Raises KeyRefused for fewer than 32 (RFC 7518 §3.2)."""
    return SigningKey.from_jwk({"kty": "oct", "alg": "HS256", "kid": kid, "k": _encode(secret).decode()})


def key_ring(keys: Iterable[VerificationKey]) -> Mapping[str, VerificationKey]:
    """Arrange keys by kid for `verify`.

    Raises KeyRefused when a kid is there twice, or HS256 keys stand beside others: then one might check
    what another should have (RFC 8725 §3.1).
    """
    listed = list(keys)
    ring = {key.kid: key for key in listed}
    if len(ring) != len(listed):
        raise KeyRefused("two keys have the same kid")
    if len({key.algorithm == "HS256" for key in listed}) > 1:
        raise KeyRefused("shared and public keys do not belong in one ring")
    return MappingProxyType(ring)


def _read_jwk(jwk: Mapping[str, Any], *, private: bool) -> tuple[str, str, Key]:
    """Read the members that matter and ignore the rest, so that only they reach joserfc."""
    kid, algorithm = jwk.get("kid"), jwk.get("alg")
    kind = _KINDS.get(algorithm) if isinstance(algorithm, str) else None
    if kind is None or not isinstance(kid, str) or not kid:
        raise KeyRefused("no kid, or an algorithm that is not used here")
    operations = jwk.get("key_ops", [])
    if not isinstance(operations, list) or not _OTHER_USES.isdisjoint(map(str, operations)):
        raise KeyRefused("the key is for other operations")
    if jwk.get("use", "sig") != "sig":
        raise KeyRefused("the key is not for signatures")
    names = ("kty", *kind.public, *(kind.private if private else ()))
    members = {name: jwk.get(name) for name in names}
    if any(not isinstance(value, str) for value in members.values()):
        raise KeyRefused("a member of the key is missing or not text")
    if members["kty"] != kind.kty or members.get("crv") != kind.crv:
        raise KeyRefused("the key's type or curve is not that of its algorithm")
    try:
        return kid, str(algorithm), _material(kind, members)
    except (JoseError, ValueError) as error:
        raise KeyRefused("the key's numbers are not acceptable") from error


def _material(kind: _Kind, members: dict[str, Any]) -> Key:
    if kind.material is RSAKey:
        modulus = base64_to_int(members["n"])
        if modulus.bit_length() not in _RSA_BITS or base64_to_int(members["e"]) < _LEAST_RSA_EXPONENT:
            raise ValueError("the RSA key is too small, or too large")
        if _has_roca_pattern(modulus):
            raise ValueError("the RSA key comes from a flawed generator")
    if kind.material is OctKey and len(members["k"]) < _LEAST_SECRET_CHARACTERS:
        raise ValueError("the shared key is too short")
    material = kind.material.import_key(members)
    # Imported a second time from its native form, so that what is written out is what really signs.
    return material if isinstance(material, OctKey) else kind.material.import_key(material.raw_value)  # type: ignore[arg-type]


_ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_ROCA_RESIDUES = tuple((prime, frozenset(pow(65537, i, prime) for i in range(prime))) for prime in _ROCA_PRIMES)


def _has_roca_pattern(modulus: int) -> bool:
    """Tell whether a modulus has the form that makes it factorable (CVE-2017-15361)."""
    return all(modulus % prime in residues for prime, residues in _ROCA_RESIDUES)


# --- signing ---


def sign(claims: Mapping[str, Any], key: SigningKey, *, typ: str = "JWT") -> str:
    """Sign claims, in the order given, as a JWS in compact form (RFC 7515 §7.1).

    The header is `typ`, `alg`, `kid` in that order. Under an HS256 key equal claims give equal tokens, byte for byte.
    Raises ValueError for a token over 4 KiB, which nobody would accept.
    """
    payload = _encode(_WRITER.encode(dict(claims)).encode())
    signing_input = _header_segment(typ, key.algorithm, key.kid) + b"." + payload
    token = signing_input + b"." + _encode(JWSRegistry.algorithms[key.algorithm].sign(signing_input, key.material))
    if len(token) > MOST_TOKEN_BYTES:
        raise ValueError(f"the token would have {len(token)} bytes, and {MOST_TOKEN_BYTES} are allowed")
    return token.decode("ascii")


@lru_cache(maxsize=64)
def _header_segment(typ: str, algorithm: str, kid: str) -> bytes:
    return _encode(_WRITER.encode({"typ": typ, "alg": algorithm, "kid": kid}).encode())


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


def _encode(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _decode(part: bytes) -> bytes:
    """Decode base64url; whatever does not encode back to the same characters is refused (RFC 4648 §3.3 to §3.5)."""
    try:
        raw = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        raw = b""
    if _encode(raw) != part:
        raise TokenRefused("not canonical base64url")
    return raw


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
