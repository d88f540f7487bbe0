"""Project Wycheproof's vectors for JWS and JWK, at the layer of signatures (../shared/vectors/README.md)."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ostiary.crypto.jose import TokenRefused, check_signature
from ostiary.crypto.jwk import KeyRefused, VerificationKey, key_ring

from .tokens import ALGORITHMS, unb64

FOLDER = Path(os.environ.get("TEST_VECTORS") or Path(__file__).parents[3] / "shared" / "vectors") / "wycheproof"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no test vectors at {FOLDER}; set TEST_VECTORS")

# Said to be valid although they hold a `?` inside base64url. RFC 7515 §2 and TK-2 say otherwise: we refuse them.
NOT_BASE64URL = {("json_web_signature_test.json", 372), ("json_web_signature_test.json", 373)}
# Said to be invalid for their padding, but the padding is lost: byte for byte they are valid vector 357.
SAME_AS_A_VALID_ONE = {("json_web_signature_test.json", 367), ("json_web_signature_test.json", 370)}


def _vectors(name: str) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Answer each vector with the keys it is to be checked under: public ones where there are any."""
    for group in json.loads((FOLDER / name).read_text())["testGroups"]:
        jwk = group.get("public") or group["private"]
        for vector in group["tests"]:
            yield jwk.get("keys", [jwk]), vector


def _accepts(keys: list[dict[str, Any]], token: str) -> bool:
    try:
        ring = key_ring([VerificationKey.from_jwk(jwk) for jwk in keys])
        check_signature(token, _named_key(ring, token))
    except (KeyRefused, TokenRefused):
        return False
    return True


def _named_key(ring: Mapping[str, VerificationKey], token: str) -> VerificationKey:
    """Find the key as the header says where there are several; a lone key is tried on everything."""
    if len(ring) == 1:
        return next(iter(ring.values()))
    return ring[json.loads(unb64(token.partition(".")[0]))["kid"]]


@pytest.mark.parametrize("name", ["json_web_signature_test.json", "json_web_key_test.json"])
@pytest.mark.rule("TK-1", "TK-2")
def test_wycheproof(name: str) -> None:
    used: Counter[str] = Counter()
    wrong: list[str] = []
    for keys, vector in _vectors(name):
        place = (name, vector["tcId"])
        if place in SAME_AS_A_VALID_ONE:
            used["excluded: same bytes as a valid one"] += 1
            continue
        expected = vector["result"] == "valid"
        if expected and any(jwk.get("alg") not in ALGORITHMS for jwk in keys):
            used["valid, refused: not an algorithm of ours"] += 1
            expected = False
        elif place in NOT_BASE64URL:
            used["valid, refused: not base64url"] += 1
            expected = False
        else:
            used[vector["result"]] += 1
        if _accepts(keys, vector["jws"]) != expected:
            wrong.append(f"{vector['tcId']} {vector['comment']}: should be {'accepted' if expected else 'refused'}")
    print(name, dict(used))  # noqa: T201 - shown by pytest -s and with a failure
    assert not wrong
    assert used["valid"] > 0
    assert used["invalid"] > 0
    assert not used.keys() - {"valid", "invalid"} - {key for key in used if ":" in key}, "a result we do not know"
