"""Keys as JWK: written without loss, read strictly."""

import dataclasses
import json
from typing import Any

import pytest

from ostiary.crypto.jose import sign
from ostiary.crypto.jwk import Algorithm, KeyRefused, SigningKey, VerificationKey, generate_key, key_ring, shared_key

from .tokens import ALGORITHMS, CLAIMS, PUBLIC_ALGORITHMS, accept, b64, key

PUBLIC_MEMBERS = {
    "ES256": {"kty", "crv", "x", "y", "use", "alg", "kid"},
    "EdDSA": {"kty", "crv", "x", "use", "alg", "kid"},
    "RS256": {"kty", "n", "e", "use", "alg", "kid"},
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_private_jwk_survives_storage(algorithm: Algorithm) -> None:
    stored = json.dumps(key(algorithm).private_jwk())
    again = SigningKey.from_jwk(json.loads(stored))
    assert accept(sign(CLAIMS, again), algorithm).subject == "1"
    assert again.private_jwk() == key(algorithm).private_jwk()


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
@pytest.mark.rule("SK-4")
def test_public_jwk_has_public_parts_only(algorithm: Algorithm) -> None:
    jwk = SigningKey.from_jwk(key(algorithm).private_jwk()).public_jwk()
    assert jwk.keys() == PUBLIC_MEMBERS[algorithm]
    assert (jwk["use"], jwk["alg"], jwk["kid"]) == ("sig", algorithm, f"key-{algorithm}")


def test_shared_key_has_no_public_part() -> None:
    with pytest.raises(ValueError, match="no public part"):
        key("HS256").public_jwk()


@pytest.mark.parametrize("algorithm", PUBLIC_ALGORITHMS)
def test_verification_key_cannot_sign(algorithm: Algorithm) -> None:
    assert not VerificationKey.from_jwk(key(algorithm).private_jwk()).material.is_private


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_key_does_not_show_itself(algorithm: Algorithm) -> None:
    shown = repr(key(algorithm)) + str(key(algorithm)) + repr(key(algorithm).verification_key())
    assert not [value for name, value in key(algorithm).private_jwk().items() if name in {"d", "k"} and value in shown]
    assert "material" not in shown


def test_generated_kids_are_random() -> None:
    assert generate_key("ES256").kid != generate_key("ES256").kid
    assert len(generate_key("EdDSA").kid) == 22


@pytest.mark.rule("TK-1")
def test_shared_key_has_256_bits() -> None:
    assert shared_key(bytes(32), "k").algorithm == "HS256"
    with pytest.raises(KeyRefused):
        shared_key(bytes(31), "k")


@pytest.mark.parametrize("length", [0, 13, 31])
def test_short_shared_jwk_is_refused_quietly(length: int) -> None:
    with pytest.raises(KeyRefused):
        VerificationKey.from_jwk({"kty": "oct", "alg": "HS256", "kid": "k", "k": b64(bytes(length))})


@pytest.mark.parametrize(
    ("algorithm", "change"),
    [
        ("ES256", {"alg": "ES384"}),
        ("ES256", {"alg": "none"}),
        ("ES256", {"alg": None}),
        ("ES256", {"alg": ["ES256"]}),
        ("ES256", {"alg": "RS256"}),
        ("ES256", {"kid": ""}),
        ("ES256", {"kid": 1}),
        ("ES256", {"kid": None}),
        ("ES256", {"kty": "OKP"}),
        ("ES256", {"crv": "P-384"}),
        ("ES256", {"crv": "secp256k1"}),
        ("ES256", {"use": "enc"}),
        ("ES256", {"use": None}),
        ("ES256", {"key_ops": ["encrypt"]}),
        ("ES256", {"key_ops": "verify"}),
        ("ES256", {"key_ops": [{}, "deriveKey"]}),
        ("ES256", {"x": b64(bytes(32))}),
        ("ES256", {"x": ""}),
        ("ES256", {"x": "\ud800"}),
        ("ES256", {"x": 5}),
        ("EdDSA", {"crv": "Ed448"}),
        ("EdDSA", {"x": b64(bytes(31))}),
        ("RS256", {"e": "AQ"}),
        ("RS256", {"e": "Aw"}),
        ("RS256", {"n": b64(b"\xff" * 128)}),
        ("RS256", {"n": b64(b"\xff" * 1024)}),
        ("RS256", {"n": "="}),
        ("HS256", {"k": "-" * 42 + "="}),
        ("HS256", {"kty": "EC"}),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_unfit_jwk_is_refused(algorithm: Algorithm, change: dict[str, Any]) -> None:
    with pytest.raises(KeyRefused):
        VerificationKey.from_jwk(
            {**key(algorithm).verification_key().material.as_dict(), **_named(algorithm), **change}
        )


def _named(algorithm: str) -> dict[str, str]:
    return {"alg": algorithm, "kid": "k"}


def test_private_jwk_without_its_private_part_is_refused() -> None:
    with pytest.raises(KeyRefused):
        SigningKey.from_jwk(key("ES256").public_jwk())


@pytest.mark.rule("TK-1")
def test_ring_refuses_two_keys_of_one_name_and_mixed_kinds() -> None:
    es256, hs256 = key("ES256").verification_key(), key("HS256").verification_key()
    with pytest.raises(KeyRefused, match="same kid"):
        key_ring([es256, dataclasses.replace(key("EdDSA").verification_key(), kid=es256.kid)])
    with pytest.raises(KeyRefused, match="one ring"):
        key_ring([es256, hs256])
    assert not key_ring([])
