"""Password hashes made elsewhere, as PHC strings: which of them are taken (PW-6).

Stricter than verifying one: what passes here is canonical, costs what we are ready to pay at each login, and is no
weaker than the weakest that is still worth calling a password hash.
"""

import re
from functools import lru_cache

from ostiary.crypto.passwords import MEMORY_KIB, PARALLELISM, TIME_COST
from ostiary.problems import InvalidInput

COST_FACTOR = 4
"""PW-6: a hash may cost at most so many times as much as our own, in each parameter."""
MOST_MEMORY_KIB = COST_FACTOR * MEMORY_KIB
MOST_PASSES = COST_FACTOR * TIME_COST
MOST_LANES = COST_FACTOR * PARALLELISM
LEAST_MEMORY_KIB = 4096
LEAST_WORK_KIB = 12_288
"""Memory times passes. Both floors are what the reference command of Argon2 does unless told otherwise."""

SALT_BYTES = range(8, 65)
TAG_BYTES = range(16, 65)
LONGEST = 512
"""What the database keeps (`credentials/models.py`)."""

_PHC = re.compile(
    r"\$(argon2(?:id|i|d)\$v=[0-9]{1,4}\$m=[0-9]{1,10},t=[0-9]{1,10},p=[0-9]{1,10})\$([A-Za-z0-9+/]{1,256})\$([A-Za-z0-9+/]{1,256})"
)
_PARAMETERS = re.compile(r"argon2(?:id|i|d)\$v=19\$m=([1-9][0-9]*),t=([1-9][0-9]*),p=([1-9][0-9]*)")

# The last character of a base64 group that is not full holds bits that must be zero, or two texts would be one hash.
_LAST_OF_TWO = frozenset("AQgw")
_LAST_OF_THREE = frozenset("AEIMQUYcgkosw048")
_PADDING = 4


def parse_foreign_hash(text: str) -> str:
    """Accept an Argon2 hash of version 19 (argon2id, argon2i or argon2d) as a PHC string, and answer it unchanged.

    Raises InvalidInput, which repeats nothing of the hash.
    """
    if len(text) > LONGEST:
        raise InvalidInput(f"password_hash must be at most {LONGEST} characters long")
    match = _PHC.fullmatch(text)
    if match is None:
        if not text.startswith("$argon2"):
            raise InvalidInput("password_hash must be of the Argon2 family: $argon2id$, $argon2i$ or $argon2d$")
        raise InvalidInput("password_hash must have the form $argon2id$v=19$m=…,t=…,p=…$salt$hash")
    parameters, salt, tag = match.groups()
    _check_parameters(parameters)
    _check_length("salt", salt, SALT_BYTES)
    _check_length("hash", tag, TAG_BYTES)
    return text


@lru_cache(maxsize=64)
def _check_parameters(text: str) -> None:
    match = _PARAMETERS.fullmatch(text)
    if match is None:
        raise InvalidInput("password_hash must be of version 19 (v=19), its numbers without leading zeros")
    memory_kib, passes, lanes = map(int, match.groups())
    for name, value, most in (("m", memory_kib, MOST_MEMORY_KIB), ("t", passes, MOST_PASSES), ("p", lanes, MOST_LANES)):
        if value > most:
            raise InvalidInput(f"password_hash costs too much: {name} may be at most {most}")
    if memory_kib < LEAST_MEMORY_KIB or memory_kib * passes < LEAST_WORK_KIB:
        raise InvalidInput(
            f"password_hash is too weak: m must be at least {LEAST_MEMORY_KIB}, and m times t at least {LEAST_WORK_KIB}"
        )


def _check_length(name: str, text: str, allowed: range) -> None:
    """Refuse base64 (without padding, as PHC has it) that is no whole number of bytes, or too few or too many."""
    left_over = len(text) % _PADDING
    is_whole = (
        left_over == 0
        or (left_over == 2 and text[-1] in _LAST_OF_TWO)  # noqa: PLR2004 - characters of a group
        or (left_over == 3 and text[-1] in _LAST_OF_THREE)  # noqa: PLR2004 - the same
    )
    if not is_whole:
        raise InvalidInput(f"password_hash has a {name} that is not base64 without padding")
    if len(text) * 3 // _PADDING not in allowed:
        raise InvalidInput(f"password_hash must have a {name} of {allowed.start} to {allowed.stop - 1} bytes")
