"""The settings in words."""

import subprocess
import sys
from pathlib import Path

import pytest

from ostiary.durations import Rate, format_duration, parse_duration
from ostiary.settings import Settings, describe
from tests.settings.loading import POSTGRESQL


def test_every_setting_is_described() -> None:
    for setting in describe():
        assert setting.variable == f"OSTIARY_{setting.name.upper()}"
        assert all([setting.topic, setting.accepts, setting.default, setting.meaning.endswith(".")])
        assert setting.value is setting.origin is None


def test_described_values_can_be_given_again() -> None:
    """What `ostiary config` prints is written as it would be given, secrets and absent values apart."""
    settings = Settings.load(trusted_proxies="10.0.0.0/8,::1", cors_origins="https://a.example,https://b.example")
    shown = {setting.name: setting.value for setting in describe(settings) if setting.value != "none"}
    assert Settings.load(**shown).model_dump() == settings.model_dump()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (POSTGRESQL, "postgresql://ostiary:********@db.internal/ostiary"),
        ("postgresql://u:p%40ss:w%2Frd@db/x", "postgresql://u:********@db/x"),
        (
            "postgresql://u@db/x?sslpassword=pw&sslmode=require",
            "postgresql://u@db/x?sslpassword=********&sslmode=require",
        ),
    ],
)
def test_password_in_a_database_url_is_masked(url: str, shown: str) -> None:
    described = {setting.name: setting.value for setting in describe(Settings.load(database_url=url))}
    assert described["database_url"] == shown


def test_passwords_in_a_redis_url_are_masked() -> None:
    url = "redis+sentinel://u:hunter2@a,b/main?sentinel_password=hunter3"
    described = {setting.name: setting.value for setting in describe(Settings.load(redis_url=url))}
    assert described["redis_url"] == "redis+sentinel://u:********@a,b/main?sentinel_password=********"
    assert described["rate_limit_store"] == "redis"


@pytest.mark.parametrize("text", ["150ms", "10s", "15m", "12h", "1d", "30d", "0s"])
def test_duration_is_written_as_it_is_read(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@pytest.mark.parametrize("text", ["100/minute", "1000/hour", "3/15minutes", "5/10seconds", "1/day"])
def test_rate_is_written_as_it_is_read(text: str) -> None:
    assert str(Rate.parse(text)) == text


def test_generated_documentation_is_not_stale() -> None:
    script = Path(__file__).parent.parent.parent / "tools" / "docs.py"
    check = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


def test_settings_are_light_to_import() -> None:
    code = "import sys, ostiary.settings; print({'sqlalchemy', 'fastapi', 'asyncpg', 'joserfc'} & set(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"
