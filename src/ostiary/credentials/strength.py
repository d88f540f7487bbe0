"""What a password must be to be accepted (PW-1, PW-2, PW-3).

`check_shape` is cheap. `check_strength` takes milliseconds, in bad cases a hundred, so it belongs in a thread of
its own: `await hasher.judge(check_strength, …)`.
"""

import math
import re
import threading
import unicodedata
from functools import partial

from ostiary.crypto.breached import BreachedPasswords
from ostiary.problems import InvalidInput

MAX_CODE_POINTS = 256
MAX_BYTES = 1024
"""Of UTF-8. Both limits are of PW-1; nothing longer is ever hashed."""

_PRODUCT_NAME = "ostiary"
_LOWEST_SCORE = 2
_SCORED_CODE_POINTS = 72
_LOOK_ALIKE_BUDGET = 40_000
"""Look-alike alphabets to try, times length squared: what scoring costs. This much takes 100 ms; unbounded, 4 s."""
_ADDED_CHARACTERS = 6
"""With more than that beside a name, zxcvbn finds by itself whether they add anything."""

_SEPARATORS = re.compile(r"[\s._-]+")
_LOOK_ALIKES = str.maketrans("4@8({[<369!1|l0$57+%2", "aabcccceggiiiiossttxz")
_SHORTEST_PART = 3

_zxcvbn_lock = threading.Lock()
"""zxcvbn keeps the user's own words in a module global. One thread judges for an installation, but two installations
may live in one process."""


class PasswordRefused(InvalidInput):
    """The password cannot be taken. The detail says why and never repeats any of it."""

    detail = "password cannot be accepted"
    code = "password_refused"


def check_shape(password: str, *, min_length: int) -> None:
    """Check length and characters, before anything that costs time (PW-1, PW-2).

    At least `min_length` and at most 256 code points, at most 1,024 bytes of UTF-8, no NUL, no unpaired surrogate.
    Everything else is welcome, and taken as it is.

    Raises PasswordRefused.
    """
    if len(password) < min_length:
        raise PasswordRefused(f"password must be at least {min_length} characters long")
    if len(password) > MAX_CODE_POINTS:
        raise PasswordRefused(f"password must be at most {MAX_CODE_POINTS} characters long")
    if "\0" in password:
        raise PasswordRefused("password must not contain the character NUL")
    try:
        encoded = password.encode()
    except UnicodeEncodeError as error:
        raise PasswordRefused("password must not contain half of a surrogate pair") from error
    if len(encoded) > MAX_BYTES:
        raise PasswordRefused(f"password must be at most {MAX_BYTES} bytes long in UTF-8")


def check_strength(password: str, *, email: str, username: str, breached: BreachedPasswords | None) -> None:
    """Refuse a password that is easy to guess, given who chose it (PW-3). It must have passed `check_shape`.

    Refused are trivial variants of the username, the address, its local part and the name of the product
    (see `_is_variant`), what is in the breached-password file where there is one, and what zxcvbn scores below 2.

    Raises PasswordRefused; Unavailable when the breached-password file is damaged.
    """
    names = _names(email, username)
    if any(_is_variant(password, name) for name in names):
        raise PasswordRefused("password must not be a variation of your username, your address or this product's name")
    if breached and breached.contains(password):
        raise PasswordRefused("password is known from a data breach; choose one that you use nowhere else")
    parts = (part for name in names for part in re.split(r"[^a-z0-9]+", name.lower()) if len(part) >= _SHORTEST_PART)
    score, advice = _score(password, [*names, *parts])
    if score < _LOWEST_SCORE:
        raise PasswordRefused(f"password is too easy to guess. {advice}".rstrip())


def _names(email: str, username: str) -> list[str]:
    """List what a guesser who knows the account tries first, each once, in that order."""
    local_part = email.rpartition("@")[0]
    names = [username, local_part, local_part.partition("+")[0], email, _PRODUCT_NAME]
    return [name for name in dict.fromkeys(names) if name]


def _is_variant(password: str, name: str) -> bool:
    """Tell whether a password is nothing but a name, trivially varied.

    It is when, case, compatibility forms, separators (space . _ -) and look-alike characters (4 or @ for a, 1 for i
    or l, and so on) made equal, it consists of the name, or the name backwards, once or more often, with at most six
    characters in all before, between or after, none of which is a letter.
    """
    plain = _plain(password)
    folded_name = _plain(name).translate(_LOOK_ALIKES)
    is_made_of = partial(_is_made_of, plain, plain.translate(_LOOK_ALIKES))
    return bool(folded_name) and (is_made_of(folded_name) or is_made_of(folded_name[::-1]))


def _plain(text: str) -> str:
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", text).casefold())


def _is_made_of(plain: str, folded: str, folded_name: str) -> bool:
    """Tell whether few characters and no letters are left of a password (`folded` position by position) but names."""
    left: list[str] = []
    position = 0
    while (found := folded.find(folded_name, position)) >= 0:
        left.append(plain[position:found])
        position = found + len(folded_name)
    added = "".join(left) + plain[position:]
    return position > 0 and len(added) <= _ADDED_CHARACTERS and not any(map(str.isalpha, added))


def _score(password: str, known_words: list[str]) -> tuple[int, str]:
    """Score the beginning of a password from 0 to 4, and say how to do better where that is low.

    Imports zxcvbn when first called: 80 ms and 15 MB that a process which only checks tokens never spends.
    """
    from zxcvbn import zxcvbn  # noqa: PLC0415 - see above

    try:
        with _zxcvbn_lock:
            result = zxcvbn(_scored_part(password), known_words)
    except Exception as error:  # noqa: BLE001 - an error inside a control refuses (D3); its text may quote the password
        reason = f"zxcvbn failed: {type(error).__name__}"
        raise PasswordRefused("password could not be judged; choose another", reason=reason) from None
    feedback = result["feedback"]
    return result["score"], " ".join(filter(None, [feedback["warning"], *feedback["suggestions"]]))


def _scored_part(password: str) -> str:
    """Cut a password to the part that zxcvbn is asked about: a password is as hard to guess as its beginning, or more.

    That is 72 code points (PW-3), or fewer where the password mixes so many look-alike characters (4 @ 8 ( 3 1 ! 7 …)
    that zxcvbn would try hundreds of alphabets on all of it.

    A line feed becomes a space: zxcvbn 4.5 fails on digits before one.
    """
    from zxcvbn.matching import L33T_TABLE  # noqa: PLC0415 - see `_score`

    def alphabets(text: str) -> int:
        present = set(text)
        return math.prod(max(1, len(present.intersection(symbols))) for symbols in L33T_TABLE.values())

    scored = password[:_SCORED_CODE_POINTS].replace("\n", " ")
    while alphabets(scored) * len(scored) ** 2 > _LOOK_ALIKE_BUDGET:
        scored = scored[:-1]
    return scored
