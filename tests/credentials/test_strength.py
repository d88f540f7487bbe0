import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zxcvbn import matching
from zxcvbn.matching import L33T_TABLE

from ostiary.credentials import strength
from ostiary.credentials.strength import PasswordRefused, check_shape, check_strength
from ostiary.crypto.breached import BreachedPasswords

CONTRACT_PASSWORD = "StrongPass123!"
any_valid_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=8, max_size=256)


def check(
    password: str,
    *,
    email: str = "alice.smith@example.com",
    username: str = "wonderland_99",
    breached: BreachedPasswords | None = None,
) -> None:
    check_shape(password, min_length=8)
    check_strength(password, email=email, username=username, breached=breached)


@pytest.mark.rule("PW-1", "PW-2")
@pytest.mark.parametrize(
    "password",
    [
        pytest.param("12345678", id="shortest"),
        pytest.param("é" * 8, id="counted in code points"),
        pytest.param("x" * 256, id="longest"),
        pytest.param("😀" * 256, id="most bytes"),
        pytest.param("\n\t \u200b\u202e\x01\x7f ", id="controls, bidi marks, spaces"),
        pytest.param("\U0010ffff" * 8, id="unassigned"),
    ],
)
def test_any_unicode_of_fitting_length_has_a_good_shape(password: str) -> None:
    check_shape(password, min_length=8)


@pytest.mark.rule("PW-1", "PW-2")
@pytest.mark.parametrize(
    ("password", "detail"),
    [
        pytest.param("", "at least 8", id="empty"),
        pytest.param("1234567", "at least 8", id="one short"),
        pytest.param("😀" * 7, "at least 8", id="bytes do not count"),
        pytest.param("x" * 257, "at most 256", id="one long"),
        pytest.param("x" * 10_000_000, "at most 256", id="far too long"),
        pytest.param("before\0after", "NUL", id="NUL"),
        pytest.param("before\ud800after", "surrogate", id="high surrogate"),
        pytest.param("\udc00 before", "surrogate", id="low surrogate"),
    ],
)
def test_bad_shapes_are_refused_with_a_reason(password: str, detail: str) -> None:
    with pytest.raises(PasswordRefused, match=detail) as refusal:
        check_shape(password, min_length=8)
    assert refusal.value.status == 400
    assert refusal.value.code == "password_refused"


@pytest.mark.rule("PW-1")
def test_the_minimum_can_be_raised() -> None:
    check_shape("x" * 15, min_length=15)
    with pytest.raises(PasswordRefused, match="at least 15"):
        check_shape("x" * 14, min_length=15)


@pytest.mark.rule("PW-3")
@pytest.mark.parametrize(
    ("email", "username"),
    [
        ("user@example.com", "username"),
        ("alice@example.com", "alice"),
        ("test@service.invalid", "test_user-1"),
        ("strong@pass.example", "user123"),
        ("a@b.example", "..."),
    ],
)
def test_the_contracts_password_is_accepted(email: str, username: str) -> None:
    check(CONTRACT_PASSWORD, email=email, username=username)


@pytest.mark.rule("PW-2", "PW-3")
@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "kx93hvq2",
        "четыре чёрненьких чертёнка",
        "alice.smith rides a green bike",
        "月" * 3 + "は東に日は西に",
    ],
)
def test_good_passwords_of_any_composition_are_accepted(password: str) -> None:
    check(password)


@pytest.mark.rule("PW-3")
@pytest.mark.parametrize(
    "password",
    ["password", "password123", "qwertyuiop", "aaaaaaaaaaaa", "abcdefghijkl", "19991231", "P@ssw0rd", "x" * 256],
)
def test_what_zxcvbn_scores_below_two_is_refused_with_advice(password: str) -> None:
    with pytest.raises(PasswordRefused, match="too easy to guess") as refusal:
        check(password)
    assert len(refusal.value.detail) > len("password is too easy to guess. ")


@pytest.mark.rule("PW-3")
@pytest.mark.parametrize(
    "password",
    [
        "wonderland_99",
        "WONDERLAND_99",
        "wonderland99",
        "w0nd3rl@nd_99",
        "wonderland_99!",
        "12wonderland_99!#",
        "99_dnalrednow",
        "99-DN4lr3dn0w!!",
        "wonderland_99wonderland_99wonderland_99",
        "wonderland 99 / wonderland 99",
        "".join(chr(ord(character) + 0xFEE0) for character in "wonderland_99"),
        "alice.smith",
        "AliceSmith2024",
        "41ic3.$m1th",
        "alice.smith@example.com",
        "Alice.Smith@Example.com1!",
        "ostiary!",
        "0$t14ry",
        "Ostiary2025!",
        "yraitsoyraitso",
    ],
)
def test_trivial_variants_of_names_are_refused(password: str) -> None:
    with pytest.raises(PasswordRefused, match="variation"):
        check_strength(password, email="alice.smith@example.com", username="wonderland_99", breached=None)


@pytest.mark.rule("PW-3")
def test_the_part_before_a_plus_is_a_name_too() -> None:
    with pytest.raises(PasswordRefused, match="variation"):
        check("zaphodbb42!", email="zaphodbb+shop@example.com")


@pytest.mark.rule("PW-3")
@pytest.mark.parametrize("password", ["wonderland_99 is far away", "bob7305168294", "xostiaryx kfq"])
def test_a_name_among_other_things_is_left_to_the_score(password: str) -> None:
    check(password, username="bob" if "bob" in password else "wonderland_99")


@pytest.mark.rule("PW-3")
def test_the_users_own_words_count_as_known() -> None:
    check("qvrtzlgnmx!")
    with pytest.raises(PasswordRefused, match="too easy"):
        check("qvrtzlgnmx!", email="alice@qvrtzlgnmx.example")


@pytest.mark.rule("PW-3")
def test_words_of_one_user_do_not_count_for_another() -> None:
    def refused(own: bool) -> bool:  # noqa: FBT001 - mapped over
        try:
            check("qvrtzlgnmx!", email=f"alice@{'qvrtzlgnmx' if own else 'other'}.example")
        except PasswordRefused:
            return True
        return False

    whose = [bool(index % 2) for index in range(60)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(refused, whose)) == whose


@pytest.mark.rule("PW-3")
def test_breached_passwords_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text(sha1(CONTRACT_PASSWORD.encode()).hexdigest().upper() + ":3\n")
    with BreachedPasswords(path) as breached:
        check("another good one 7", breached=breached)
        with pytest.raises(PasswordRefused, match="breach"):
            check(CONTRACT_PASSWORD, breached=breached)


@pytest.mark.rule("PW-3")
@given(password=st.text("4@8({[<3691!|0$5+7%2ab", max_size=256) | any_valid_text)
def test_the_scored_part_is_a_beginning_of_bounded_cost(password: str) -> None:
    scored = strength._scored_part(password)
    assert password.replace("\n", " ").startswith(scored)
    alphabets = math.prod(max(1, sum(symbol in scored for symbol in symbols)) for symbols in L33T_TABLE.values())
    assert alphabets * len(scored) ** 2 <= 40_000
    assert len(scored) >= min(len(password), 8)
    if password.isalpha():
        assert scored == password[:72]


@pytest.mark.rule("PW-3")
def test_many_look_alikes_do_not_make_scoring_explode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scored whole, this password is tried with 736 alphabets and takes seconds."""
    tried = 0
    real = matching.dictionary_match

    def dictionary_match(*args: object, **kwargs: object) -> object:
        nonlocal tried
        tried += 1
        return real(*args, **kwargs)

    monkeypatch.setattr(matching, "dictionary_match", dictionary_match)
    check(("a4@b8c({[<e3g69i1!|l1|7o0s$5t+7x%z2" * 3)[:72])
    assert 0 < tried < 200


@pytest.mark.rule("PW-3")
def test_a_failing_judge_refuses_and_keeps_the_password_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "date_match", lambda password, **_: int(password))
    with pytest.raises(PasswordRefused) as refusal:
        check(CONTRACT_PASSWORD)
    assert "could not be judged" in refusal.value.detail
    assert refusal.value.reason == "zxcvbn failed: ValueError"
    assert refusal.value.__suppress_context__


@pytest.mark.rule("PW-2")
def test_digits_before_a_line_feed_are_no_trouble() -> None:
    check("a few words 25556\na few words")  # zxcvbn itself raises ValueError here


@settings(max_examples=200, deadline=None)
@given(password=any_valid_text | st.text("0123456789/-. \n\u0661\uff11", min_size=8, max_size=40))
def test_no_password_of_good_shape_raises_anything_but_a_refusal(password: str) -> None:
    try:
        check(password)
    except PasswordRefused as refusal:
        judged = "zxcvbn failed" not in refusal.reason
    else:
        judged = True
    assert judged


def test_zxcvbn_is_not_loaded_before_it_is_needed() -> None:
    program = "import sys, ostiary.credentials.strength; sys.exit('zxcvbn' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
