"""Whatever is presented, the answer is an acceptance or a TokenRefused."""

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.crypto.jose import TokenRefused, check_signature, sign
from ostiary.crypto.jwk import Algorithm

from .tokens import ALGORITHMS, CLAIMS, accept, b64, forge, header, key

TOKENS = {algorithm: sign(CLAIMS, key(algorithm)) for algorithm in ALGORITHMS}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    algorithm=st.sampled_from(ALGORITHMS),
    place=st.integers(min_value=0, max_value=2000),
    character=st.sampled_from(string.printable) | st.characters(),
    how=st.sampled_from(["replace", "insert", "drop"]),
)
@pytest.mark.rule("TK-1", "TK-2")
def test_one_changed_character_is_enough(algorithm: Algorithm, place: int, character: str, how: str) -> None:
    token = TOKENS[algorithm]
    place %= len(token)
    changed = token[:place] + ("" if how == "drop" else character) + token[place + (how != "insert") :]
    if changed != token:
        with pytest.raises(TokenRefused):
            accept(changed, algorithm)


def _refused(token: Any) -> None:
    with pytest.raises(TokenRefused):
        accept(token)
    with pytest.raises(TokenRefused):
        check_signature(token, key("ES256").verification_key())


@settings(deadline=None)
@given(st.text() | st.text(alphabet=string.ascii_letters + string.digits + "-_.=") | st.characters(categories=["Cs"]))
def test_any_text(text: str) -> None:
    _refused(text)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=80), min_size=3, max_size=3))
def test_any_bytes_in_three_parts(parts: list[bytes]) -> None:
    _refused(".".join(b64(part) for part in parts))


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_as_signature(signature: bytes) -> None:
    for algorithm in ALGORITHMS:
        head_and_payload = TOKENS[algorithm].rpartition(".")[0]
        with pytest.raises(TokenRefused):
            accept(f"{head_and_payload}.{b64(signature)}", algorithm)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["typ", "alg", "kid", "crit", "jwk"]) | st.text(max_size=5), JSON))
def test_any_header(head: dict[str, Any]) -> None:
    _refused(forge(head, CLAIMS, key("ES256")))


@settings(deadline=None)
@given(st.sampled_from(sorted(CLAIMS)), JSON)
def test_any_claim_well_signed(claim: str, value: Any) -> None:
    """No exception but the refusal; what is accepted is exactly what was signed."""
    token = forge(header(), {**CLAIMS, claim: value}, key("ES256"))
    try:
        assert accept(token).members[claim] == value
    except TokenRefused:
        assert value != CLAIMS[claim]
