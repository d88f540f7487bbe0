"""The secret of the installation, and that no secret shows anywhere."""

from collections.abc import Mapping
from typing import Any

import pytest

from ostiary.settings import Settings, SettingsError, describe
from tests.settings.loading import GOOD_SECRET, POSTGRESQL, mistakes_of

BAD_SECRETS = {
    "empty": "",
    "short": "Zr3v9Qm1Lx7Tb5Yk2Wn8Hc4Jd6Fg0Ps",
    "one character": "x" * 64,
    "a repeated pattern": "abcdefgh12345678" * 4,
    "changeme": "changeme-Zr3v9Qm1Lx7Tb5Yk2Wn8Hc4",
    "secret": "my-secret-Zr3v9Qm1Lx7Tb5Yk2Wn8Hc4",
    "a tutorial's": "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
}


@pytest.mark.rule("SK-2")
@pytest.mark.parametrize("secret", BAD_SECRETS.values(), ids=BAD_SECRETS.keys())
@pytest.mark.parametrize("name", ["secret_key", "secret_key_previous"])
def test_weak_secret_is_refused_and_not_repeated(name: str, secret: str) -> None:
    [mistake] = mistakes_of(**{name: [secret] if name == "secret_key_previous" else secret})
    assert mistake.variable == f"OSTIARY_{name.upper()}"
    assert not secret or secret not in str(mistake)


@pytest.mark.rule("SK-2")
def test_secret_of_the_wrong_type_is_not_repeated_either() -> None:
    [mistake] = mistakes_of(secret_key=12345678)
    assert "12345678" not in str(mistake)


def test_good_secrets_are_taken_as_given() -> None:
    settings = Settings.load(secret_key=GOOD_SECRET, secret_key_previous=f"{GOOD_SECRET}1,{GOOD_SECRET}2")
    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == GOOD_SECRET
    assert [old.get_secret_value()[-1] for old in settings.secret_key_previous] == ["1", "2"]


def test_secret_is_given_directly_or_by_file_not_both() -> None:
    [mistake] = mistakes_of(secret_key=GOOD_SECRET, secret_key_file="secret.key")
    assert mistake.variable == "OSTIARY_SECRET_KEY_FILE"
    assert "OSTIARY_SECRET_KEY " in mistake.message


@pytest.mark.rule("LA-2")
def test_no_secret_shows_in_any_text_of_the_settings() -> None:
    settings = Settings.load(
        secret_key=GOOD_SECRET,
        secret_key_previous=[GOOD_SECRET + "1"],
        database_url=POSTGRESQL,
        database_owner_url="postgresql://db/x?user=o&password=hunter2",
        redis_url="redis+sentinel://u:hunter2@a,b/main?sentinel_password=hunter2",
    )
    shown = f"{settings} {settings!r} {describe(settings)}"
    assert GOOD_SECRET not in shown
    assert "hunter2" not in shown


@pytest.mark.rule("LA-2")
@pytest.mark.parametrize(
    "options",
    [
        {"database_url": "mysql://u:hunter2@h/d"},
        {"database_owner_url": POSTGRESQL},
        {"redis_url": "redis://u:hunter2@h:port"},
        {"public_url": "https://u:hunter2@h"},
        {"cors_origins": "https://u:hunter2@h"},
        {"host": "https://u:hunter2@h"},
    ],
)
def test_no_mistake_repeats_a_password(options: Mapping[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(**options)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)
