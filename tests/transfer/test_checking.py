"""A line of a file is judged as sign-up judges a newcomer."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ostiary.problems import InvalidInput
from ostiary.transfer.checking import check
from ostiary.users.address import canonical_email, canonical_username, parse_email, parse_username
from ostiary.users.profiles import Beside

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ANN = {"email": "Ann@Example.com", "username": "Ann"}

NAMES = st.text("aBc019._-+@ üé。\0", max_size=12)
DOMAINS = st.one_of(
    st.text("aB1.-ü。", max_size=12), st.sampled_from(["EXAMPLE.com", "bücher.example", "localhost", "1"])
)
ADDRESSES = st.one_of(st.text(max_size=20), st.builds("{}@{}".format, NAMES, DOMAINS))


@pytest.mark.rule("SU-1")
@example(email="Ann@BÜCHER.example", username="Ann_B")
@given(email=ADDRESSES, username=st.one_of(st.text(max_size=70), NAMES, st.just("ann")))
def test_names_are_judged_and_kept_as_sign_up_does(email: str, username: str) -> None:
    refusals: list[str] = []
    parsed = ("", "")
    try:
        parsed = parse_email(email).address, parse_username(username)
    except InvalidInput as problem:
        refusals.append(problem.detail)
    try:
        user = check({"email": email, "username": username}, now=NOW).user
    except InvalidInput as problem:
        assert [problem.detail] == refusals  # noqa: PT017 - both may refuse, and then alike
        return
    assert refusals == []
    assert (user.email, user.username) == parsed
    assert (user.email_key, user.username_key) == (canonical_email(email), canonical_username(username))


@pytest.mark.rule("SU-1")
def test_a_service_account_comes_without_a_password() -> None:
    """As an export has it."""
    members = {"email": "ci@service.invalid", "username": "ci-bot"}
    candidate = check(members | {"password_hash": None}, now=NOW)
    assert (candidate.user.email, candidate.password_hash) == ("ci@service.invalid", None)
    with pytest.raises(InvalidInput, match="password_hash"):
        check(members | {"password_hash": "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"}, now=NOW)


def test_what_is_not_said_is_that_of_a_newcomer_without_a_password() -> None:
    candidate = check(ANN, now=NOW)
    assert candidate.password_hash is None
    assert candidate.user[4:] == (True, False, NOW, None)
    assert (candidate.beside, candidate.roles) == (Beside(email_verified=False, language=None, metadata={}), ())


@pytest.mark.parametrize("written", ["2024-02-29T23:59:59", "2024-02-29T23:59:59Z"])
def test_moment_is_utc(written: str) -> None:
    assert check(ANN | {"created_at": written}, now=NOW).user.created_at == datetime(
        2024, 2, 29, 23, 59, 59, tzinfo=UTC
    )


@pytest.mark.rule("SU-2")
@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"username": None}, "username is required"),
        ({"email": 5}, "email must be a string"),
        ({"username": ["ann"]}, "username must be a string"),
        ({"is_active": "true"}, "is_active must be true or false"),
        ({"is_active": None}, "is_active must be true or false"),
        ({"is_superuser": 1}, "is_superuser must be true or false"),
        ({"password_hash": 1}, "password_hash must be a string"),
        ({"password_hash": ""}, "Argon2 family"),
        ({"created_at": None}, "created_at must be written"),
        ({"created_at": 1704067200}, "created_at must be written"),
        ({"created_at": "2024-01-01"}, "created_at must be written"),
        ({"created_at": "2024-01-01T00:00:00+01:00"}, "created_at must be written"),
        ({"created_at": "2024-01-01T00:00:00.5"}, "created_at must be written"),
        ({"created_at": "\uff12024-01-01T00:00:00"}, "created_at must be written"),
        ({"created_at": "2023-02-29T00:00:00"}, "no date and time that exists"),
        ({"created_at": "2026-01-02T03:04:06"}, "must not be in the future"),
        ({"id": 7}, "unknown member id; known are email"),
        ({"email_verified": "true"}, "email_verified must be true or false"),
        ({"email_verified": None}, "email_verified must be true or false"),
        ({"language": 1}, "language must be a string"),
        ({"language": "not_a_tag"}, "language must be a language tag"),
        ({"metadata": "{}"}, "metadata must be an object"),
        ({"metadata": {"a": "x" * 17_000}}, "metadata must be at most 16 KiB"),
        ({"metadata": {str(number): 1 for number in range(129)}}, "metadata must have at most 128 members"),
        ({"roles": "editor"}, "roles must be a list of strings"),
        ({"roles": None}, "roles must be a list of strings"),
        ({"roles": [1]}, "roles must be a list of strings"),
        ({"roles": [f"role-{number}" for number in range(33)]}, "no more than 32 roles"),
        ({"groups": []}, "unknown member groups"),
        ({"\x1b[2J": 1}, "unknown member …"),
    ],
)
def test_anything_else_is_refused(members: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(ANN | members, now=NOW)
    assert said in caught.value.detail
