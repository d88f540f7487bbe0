"""How a key is written (AK-1): scanners and we know one by its looks, and a slip of the pen too."""

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.api_keys.format import PREFIX, SECRET_BITS, checksum, new_key, read_key
from ostiary.crypto.opaque import token_hash
from ostiary.problems import InvalidCredentials

KEY = re.compile(r"ost_([0-9A-Za-z]{22})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def number_of(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * 62 + DIGITS.index(digit)
    return number


@pytest.mark.rule("AK-1", "SK-1")
def test_a_key_names_itself_and_holds_256_random_bits() -> None:
    made = [new_key() for _ in range(500)]
    for new in made:
        found = KEY.fullmatch(new.plain)
        assert found is not None
        assert found[1] == new.id
        assert number_of(found[3]) == zlib.crc32(new.plain[:-6].encode())
        assert new.key_hash == token_hash(new.plain)
    assert len({new.id for new in made}) == len({new.plain.split("_")[2] for new in made}) == len(made)
    secrets = [number_of(new.plain.split("_")[2][:43]) for new in made]
    assert max(secrets) < 2**SECRET_BITS == 2**256
    for bit in range(256):  # each is set in some and not in others: 2^-499 for chance to have it otherwise
        assert {secret >> bit & 1 for secret in secrets} == {0, 1}


@pytest.mark.rule("AK-1")
def test_a_key_is_read_as_it_was_made() -> None:
    new = new_key()
    assert read_key(new.plain) == (new.id, new.key_hash)


@pytest.mark.rule("AK-1", "D3")
@given(st.data())
def test_a_slip_is_found_without_asking_anybody(data: st.DataObject) -> None:
    plain = new_key().plain
    place = data.draw(st.integers(0, len(plain) - 1))
    character = data.draw(st.sampled_from([*DIGITS, "", "_", "-", " ", "é", "\N{FULLWIDTH DIGIT ONE}", "\n"]))
    slipped = plain[:place] + character + plain[place + 1 :]
    if slipped != plain:
        with pytest.raises(InvalidCredentials):
            read_key(slipped)
    if plain[place] != plain[place - 1] and place:
        swapped = plain[: place - 1] + plain[place] + plain[place - 1] + plain[place + 1 :]
        with pytest.raises(InvalidCredentials):
            read_key(swapped)


@pytest.mark.rule("AK-1", "D3")
@given(st.text() | st.text(DIGITS + "_").map(lambda text: PREFIX + text))
def test_anything_else_is_no_key(text: str) -> None:
    with pytest.raises(InvalidCredentials):
        read_key(text)


@pytest.mark.parametrize("change", [str.upper, str.lower, str.strip, lambda key: f"{key} ", lambda key: f"{key}\n"])
def test_a_key_is_taken_to_the_letter(change: object) -> None:
    plain = new_key().plain
    assert callable(change)
    changed = change(plain)
    if changed != plain:
        with pytest.raises(InvalidCredentials):
            read_key(changed)


def test_the_checksum_is_a_crc_32() -> None:
    """As others compute it: scanners check it without us."""
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert checksum("123456789") == "3jZRME"
    assert number_of("3jZRME") == 0xCBF43926
