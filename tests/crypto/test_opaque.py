"""Random tokens and ids, their hashes, and their comparison."""

import string
from hashlib import sha256

import pytest

from ostiary.crypto.opaque import new_id, new_token, same, token_hash

URL_SAFE = set(string.ascii_letters + string.digits + "-_")


@pytest.mark.rule("SK-1")
def test_tokens_and_ids_are_random_and_url_safe() -> None:
    tokens = {new_token() for _ in range(1000)} | {new_id() for _ in range(1000)}
    assert len(tokens) == 2000
    assert set("".join(tokens)) <= URL_SAFE
    assert (len(new_token()), len(new_token(128)), len(new_id())) == (43, 22, 22)


def test_no_id_looks_like_an_option_of_a_command() -> None:
    assert not any(new_id().startswith("-") for _ in range(1000))


@pytest.mark.parametrize("bits", [0, 64, 120, 129])
@pytest.mark.rule("SK-1")
def test_nothing_guessable_is_made(bits: int) -> None:
    with pytest.raises(ValueError, match="at least 128 bits"):
        new_token(bits)


@pytest.mark.rule("TK-8")
def test_hash_is_sha_256_of_the_whole_text() -> None:
    assert token_hash("abc") == sha256(b"abc").digest()
    assert token_hash("\ud800") != token_hash("\ud801")


@pytest.mark.rule("SK-5")
def test_comparison() -> None:
    assert same(token_hash("a"), token_hash("a"))
    assert not same(token_hash("a"), token_hash("b"))
    assert not same(token_hash("a"), token_hash("a")[:-1])
    assert not same(b"", token_hash("a"))
