"""Sealed values open in their own place, unchanged, under a secret that is configured. Nowhere else."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.crypto.sealed import SealBroken, Sealer
from ostiary.crypto.secret import Secret

FIRST, SECOND = Secret(bytes(range(32))), Secret(bytes(range(32, 64)))
CHANGED = Secret(bytes(range(32, 64)), [bytes(range(32))])
PLACE: dict[str, Any] = {"table": "signing_keys", "row": "k1", "column": "sealed_private"}


@settings(deadline=None)
@given(st.binary(max_size=300))
@pytest.mark.rule("SK-3")
def test_what_was_sealed_opens(plain: bytes) -> None:
    sealer = Sealer(FIRST, "signing-keys")
    sealed = sealer.seal(plain, **PLACE)
    assert sealer.open(sealed, **PLACE) == plain
    assert len(sealed) == len(plain) + 45
    assert len(plain) < 8 or plain not in sealed


@pytest.mark.rule("SK-3")
def test_form_of_a_sealed_value_never_changes() -> None:
    """Built by hand: format, key version, nonce, then AES-256-GCM over table, row, column and key version."""
    version, nonce = bytes.fromhex(FIRST.fingerprint), bytes(12)
    place = b"".join(
        len(part).to_bytes(4, "big") + part for part in (b"signing_keys", b"k1", b"sealed_private", version)
    )
    sealed = b"\x01" + version + nonce + AESGCM(FIRST.derive("signing-keys")).encrypt(nonce, b"seed", place)
    assert Sealer(FIRST, "signing-keys").open(sealed, **PLACE) == b"seed"


@pytest.mark.rule("SK-3")
def test_every_nonce_is_new() -> None:
    sealer = Sealer(FIRST, "signing-keys")
    assert len({sealer.seal(b"seed", **PLACE)[17:29] for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"table": "webhooks"},
        {"row": "k2"},
        {"column": "other"},
        {"table": "signing_keysk", "row": "1"},
        {"row": "k1sealed", "column": "_private"},
    ],
    ids=repr,
)
@pytest.mark.rule("SK-3")
def test_moved_value_does_not_open(elsewhere: dict[str, Any]) -> None:
    sealer = Sealer(FIRST, "signing-keys")
    sealed = sealer.seal(b"seed", **PLACE)
    with pytest.raises(SealBroken):
        sealer.open(sealed, **{**PLACE, **elsewhere})


@pytest.mark.rule("SK-3")
def test_any_flipped_or_missing_byte_is_noticed() -> None:
    sealer = Sealer(FIRST, "signing-keys")
    sealed = sealer.seal(b"seed", **PLACE)
    for place in range(len(sealed)):
        for broken in (
            sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :],
            sealed[:place] + sealed[place + 1 :],
            sealed[:place],
        ):
            with pytest.raises(SealBroken):
                sealer.open(broken, **PLACE)


def test_other_purpose_or_secret_does_not_open() -> None:
    sealed = Sealer(FIRST, "signing-keys").seal(b"seed", **PLACE)
    with pytest.raises(SealBroken, match="not what was sealed"):
        Sealer(FIRST, "totp").open(sealed, **PLACE)
    with pytest.raises(SealBroken, match="not configured"):
        Sealer(SECOND, "signing-keys").open(sealed, **PLACE)


@pytest.mark.rule("SK-3")
def test_changing_the_secret() -> None:
    old, new = Sealer(FIRST, "signing-keys"), Sealer(CHANGED, "signing-keys")
    sealed = old.seal(b"seed", **PLACE)
    assert not old.needs_resealing(sealed)
    assert new.needs_resealing(sealed)
    resealed = new.seal(new.open(sealed, **PLACE), **PLACE)
    assert not new.needs_resealing(resealed)
    assert Sealer(SECOND, "signing-keys").open(resealed, **PLACE) == b"seed"


def test_value_that_is_no_seal() -> None:
    sealer = Sealer(FIRST, "signing-keys")
    for value in (b"", b"\x01", b"seed", bytes(45), b"\x02" + sealer.seal(b"seed", **PLACE)[1:]):
        with pytest.raises(SealBroken, match="not a sealed value"):
            sealer.needs_resealing(value)
        with pytest.raises(SealBroken, match="not a sealed value"):
            sealer.open(value, **PLACE)
