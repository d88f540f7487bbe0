"""Keys that sign tokens and check them: read from and written as JWK, each for one algorithm only (RFC 7517, TK-1)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.util import base64_to_int

from ostiary.crypto.base64url import encode
from ostiary.crypto.opaque import new_id

Algorithm = Literal["ES256", "EdDSA", "RS256", "HS256"]

_LEAST_SECRET_CHARACTERS = 43  # 32 bytes in base64url (RFC 7518 §3.2)
_RSA_BITS = range(2048, 4096 + 1)  # TK-1; the upper end bounds what a check may cost
_LEAST_RSA_EXPONENT = 65537  # FIPS 186-5 §A.1.1


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
    return SigningKey.from_jwk({"kty": "oct", "alg": "HS256", "kid": kid, "k": encode(secret).decode()})


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
