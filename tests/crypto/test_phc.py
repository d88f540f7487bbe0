"""Which password hashes made elsewhere are taken."""

import argon2
import pytest

from ostiary.crypto.phc import MOST_LANES, MOST_MEMORY_KIB, MOST_PASSES, parse_foreign_hash
from ostiary.problems import InvalidInput

SALT = "AAECAwQFBgcICQoLDA0ODw"
TAG = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def phc(*, kind: str = "argon2id", v: str = "19", m: int | str = 19456, t: int | str = 2, p: int | str = 1) -> str:
    return f"${kind}$v={v}$m={m},t={t},p={p}${SALT}${TAG}"


@pytest.mark.rule("PW-6")
@pytest.mark.parametrize(
    "taken",
    [
        phc(),
        phc(kind="argon2i"),
        phc(kind="argon2d"),
        phc(m=4096, t=3),
        phc(m=12_288, t=1),
        phc(m=MOST_MEMORY_KIB, t=MOST_PASSES, p=MOST_LANES),
        f"$argon2id$v=19$m=65536,t=3,p=4$AAECAwQFBgc${SALT}",
    ],
)
def test_canonical_hash_within_bounds_is_taken_as_it_is(taken: str) -> None:
    assert parse_foreign_hash(taken) == taken
    argon2.extract_parameters(taken)


@pytest.mark.rule("PW-6")
@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ("", "Argon2 family"),
        ("password", "Argon2 family"),
        ("$2b$12$abcdefghijklmnopqrstuv", "Argon2 family"),
        (phc().upper(), "Argon2 family"),
        (" " + phc(), "Argon2 family"),
        (phc() + "\n", "form"),
        (phc() + "=", "form"),
        (phc(kind="argon2x"), "form"),
        (phc().replace("$v=19", ""), "form"),
        (phc().replace("p=1", "p=1,keyid=AA"), "form"),
        (phc(m="19\uff1456"), "form"),
        (phc(m="-19456"), "form"),
        (phc(v="16"), "version 19"),
        (phc(m="019456"), "leading zeros"),
        (phc(t=0), "leading zeros"),
        (phc(m=MOST_MEMORY_KIB + 1), "costs too much: m may be at most 77824"),
        (phc(t=MOST_PASSES + 1), "costs too much: t may be at most 8"),
        (phc(p=MOST_LANES + 1), "costs too much: p may be at most 4"),
        (phc(m=9_999_999_999), "costs too much"),
        (phc(m=4095, t=8), "too weak"),
        (phc(m=12_287, t=1), "too weak"),
        (phc(m=4096, t=2), "too weak"),
        (phc().replace(SALT, "AAECAwQFBg"), "salt of 8 to 64 bytes"),
        (phc().replace(SALT, "A" * 87), "salt of 8 to 64 bytes"),
        (phc().replace(TAG, "A" * 20), "hash of 16 to 64 bytes"),
        (phc().replace(TAG, "A" * 88), "hash of 16 to 64 bytes"),
        (phc().replace(TAG, TAG[:-1] + "9"), "hash that is not base64"),
        (phc().replace(SALT, SALT[:-1] + "x"), "salt that is not base64"),
        (phc().replace(SALT, SALT[:-1]), "salt that is not base64"),
        (phc() + "A" * 512, "at most 512 characters"),
    ],
)
def test_any_other_is_refused_without_repeating_it(refused: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_foreign_hash(refused)
    assert said in caught.value.detail
    assert TAG[:12] not in caught.value.detail
