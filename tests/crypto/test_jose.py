"""Tokens that are made are accepted, for their purpose and in their time."""

import hmac
from datetime import timedelta
from typing import Any

import pytest

from ostiary.crypto.jose import (
    MOST_TOKEN_BYTES,
    TokenRefused,
    UnknownKey,
    check_claims,
    check_signature,
    open_token,
    sign,
)
from ostiary.crypto.jwk import Algorithm, SigningKey, generate_key, key_ring, shared_key

from .tokens import ALGORITHMS, CLAIMS, ISSUER, NOW, SECONDS, accept, key, unb64


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.rule("TK-1", "TK-2")
def test_what_was_signed_is_accepted(algorithm: Algorithm) -> None:
    claims = accept(sign(CLAIMS, key(algorithm)), algorithm)
    assert dict(claims.members) == dict(CLAIMS)
    assert (claims.issuer, claims.audience, claims.subject) == (ISSUER, ISSUER, "1")
    assert (claims.issued_at, claims.expires_at) == (SECONDS, SECONDS + 900)
    assert (claims.jti, claims.sid, claims.token_use) == ("jti-1", "sid-1", "access")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_header_begins_as_in_the_contract(algorithm: Algorithm) -> None:
    token = sign(CLAIMS, key(algorithm))
    assert token.startswith("eyJ0eXAiOiJKV1QiLCJhbGc")
    head, payload, _ = token.split(".")
    assert unb64(head).decode() == f'{{"typ":"JWT","alg":"{algorithm}","kid":"key-{algorithm}"}}'
    assert unb64(payload).decode().startswith('{"iss":"http://localhost:8000","sub":"1","aud":')


def test_shared_key_signs_the_same_token_again() -> None:
    secret = b"0123456789abcdefghijklmnopqrstuv"
    token, again = (sign(CLAIMS, shared_key(secret, "refresh")) for _ in range(2))
    assert token == again
    signing_input, _, signature = token.rpartition(".")
    assert signing_input == (
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImtpZCI6InJlZnJlc2gifQ"
        ".eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjgwMDAiLCJzdWIiOiIxIiwiYXVkIjoiaHR0cDovL2xvY2FsaG9zdDo4MDAwIiwiaWF0IjoxNzcyMzY2"
        "NDAwLCJleHAiOjE3NzIzNjczMDAsImp0aSI6Imp0aS0xIiwic2lkIjoic2lkLTEiLCJ0b2tlbl91c2UiOiJhY2Nlc3MiLCJyb2xlcyI6WyJhZG1p"
        "biJdfQ"
    )
    assert unb64(signature) == hmac.digest(secret, signing_input.encode(), "sha256")


def test_ed25519_example_of_the_rfc() -> None:
    """RFC 8037 §A.1 and §A.4; Wycheproof's JWS vectors have none in this algorithm."""
    example = SigningKey.from_jwk(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "alg": "EdDSA",
            "kid": "example",
        }
    )
    token = (
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )
    assert check_signature(token, example.verification_key()) == b"Example of Ed25519 signing"


def test_another_type_needs_to_be_asked_for() -> None:
    token = sign(CLAIMS, key("ES256"), typ="at+jwt")
    assert accept(token, typ="at+jwt").subject == "1"
    with pytest.raises(TokenRefused, match="another type"):
        accept(token)


@pytest.mark.rule("TK-2")
def test_expiry_is_strict() -> None:
    token = sign(CLAIMS, key("ES256"))
    expiry = NOW + timedelta(seconds=900)
    assert accept(token, now=expiry - timedelta(milliseconds=1)).subject == "1"
    with pytest.raises(TokenRefused, match="expired"):
        accept(token, now=expiry)


@pytest.mark.rule("TK-2")
def test_issued_by_a_node_whose_clock_is_a_little_ahead() -> None:
    token = sign({**CLAIMS, "iat": SECONDS + 60}, key("ES256"))
    assert accept(token).issued_at == SECONDS + 60
    with pytest.raises(TokenRefused, match="out of range"):
        accept(token, now=NOW - timedelta(milliseconds=1))


def test_unknown_kid_is_told_apart_so_that_the_keys_can_be_read_again() -> None:
    with pytest.raises(UnknownKey):
        accept(sign(CLAIMS, generate_key("ES256")))


def test_one_ring_serves_several_algorithms() -> None:
    ring = key_ring([key("ES256").verification_key(), key("EdDSA").verification_key()])
    for algorithm in ("ES256", "EdDSA"):
        assert open_token(sign(CLAIMS, key(algorithm)), ring, typ="JWT")["sub"] == "1"


def test_the_two_halves_of_verify() -> None:
    ring = key_ring([key("ES256").verification_key()])
    members = open_token(sign(CLAIMS, key("ES256")), ring, typ="JWT")
    purpose: dict[str, Any] = {"issuer": ISSUER, "audience": ISSUER, "token_use": "access"}
    assert check_claims(members, **purpose, now=NOW).subject == "1"
    with pytest.raises(TokenRefused, match="expired"):
        check_claims(members, **purpose, now=NOW + timedelta(days=1))
    with pytest.raises(TypeError):
        members["sub"] = "2"  # type: ignore[index]


def test_signature_layer_answers_the_payload_unread() -> None:
    token = sign(CLAIMS, key("ES256"))
    assert check_signature(token, key("ES256").verification_key()) == unb64(token.split(".")[1])


def test_a_token_nobody_would_accept_is_not_made() -> None:
    def padded(characters: int) -> str:
        return sign({**CLAIMS, "pad": "x" * characters}, key("HS256"))

    room = (MOST_TOKEN_BYTES - len(padded(0))) * 3 // 4
    assert accept(padded(room), "HS256").subject == "1"
    with pytest.raises(ValueError, match="4096 are allowed"):
        padded(room + 3)


def test_numbers_json_cannot_write_are_not_signed() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        sign({**CLAIMS, "x": float("nan")}, key("HS256"))
