"""What settings default to, and the bounds and rules between them."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from ostiary.durations import Rate
from ostiary.settings import Settings
from tests.settings.loading import POSTGRESQL, mistakes_of, variables

WATCHING: dict[str, object] = {
    "metrics_host": "127.0.0.1",
    "metrics_port": None,
    "metrics_token": None,
    "trace_endpoint": None,
    "trace_percent": 100,
}
"""Nothing is told to anybody unless it is asked for (LA-4)."""


def test_defaults_are_those_of_the_architecture(tmp_path: Path) -> None:
    settings = Settings.load()
    expected: dict[str, object] = {
        "host": "127.0.0.1",
        "port": 8000,
        "public_url": "http://localhost:8000",
        "trusted_proxies": (),
        "data_dir": tmp_path / "ostiary-data",
        "database_url": None,
        "database_owner_url": None,
        "database_statement_cache": True,
        "redis_url": None,
        "workers": 1,
        "shutdown_delay": timedelta(0),
        "secret_key": None,
        "secret_key_file": tmp_path / "ostiary-data" / "secret.key",
        "secret_key_previous": (),
        "signup": "open",
        "signup_privacy": False,
        "require_verified_email": False,
        "directory_visibility": "members",
        "password_min_length": 8,
        "breached_passwords_file": None,
        "password_pepper": False,
        "token_audience": "http://localhost:8000",
        "signing_algorithm": "ES256",
        "access_token_lifetime": timedelta(minutes=15),
        "refresh_token_lifetime": timedelta(days=30),
        "refresh_token_idle": timedelta(days=7),
        "refresh_replay_window": timedelta(seconds=10),
        "mail_url": "file:",
        "mail_from": "ostiary@localhost",
        "mail_templates_dir": None,
        "mail_limit_per_address": Rate(3, timedelta(minutes=15)),
        "mail_limit_per_source": Rate(10, timedelta(hours=1)),
        "rate_limit": True,
        "rate_limit_per_address": Rate(100, timedelta(minutes=1)),
        "rate_limit_per_user": Rate(1000, timedelta(hours=1)),
        "rate_limit_store": "memory",
        "login_failure_floor": timedelta(milliseconds=150),
        "cors_origins": (),
        "api_docs": True,
        "log_format": "auto",
        "log_level": "info",
        "access_log": True,
    }
    assert {name: getattr(settings, name) for name in Settings.model_fields} == expected | WATCHING
    assert settings.sqlite_file == tmp_path / "ostiary-data" / "ostiary.db"


def test_derived_values_follow_what_they_derive_from(tmp_path: Path) -> None:
    settings = Settings.load(port=9000, data_dir="elsewhere")
    assert settings.public_url == settings.token_audience == "http://localhost:9000"
    assert settings.secret_key_file == tmp_path / "elsewhere" / "secret.key"
    assert settings.sqlite_file == tmp_path / "elsewhere" / "ostiary.db"
    assert Settings.load(refresh_token_lifetime="1d").refresh_token_idle == timedelta(days=1)


def test_values_do_not_move_with_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings.load(database_url="sqlite:///users.db")
    monkeypatch.chdir("/")
    assert settings.sqlite_file == tmp_path / "users.db"
    assert Settings.load(database_url=settings.database_url).sqlite_file == tmp_path / "users.db"


def test_settings_cannot_be_changed() -> None:
    settings = Settings.load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1


def test_building_settings_directly_reads_nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTIARY_PORT", "9000")
    Path(".env").write_text("OSTIARY_PORT=9001\n")
    assert Settings().port == 8000


@pytest.mark.rule("PW-1")
def test_password_minimum_cannot_go_below_eight() -> None:
    assert Settings.load(password_min_length=15).password_min_length == 15
    assert variables(mistakes_of(password_min_length=7)) == ["OSTIARY_PASSWORD_MIN_LENGTH"]


@pytest.mark.rule("TK-3")
def test_access_token_cannot_live_longer_than_an_hour() -> None:
    assert Settings.load(access_token_lifetime="60m").access_token_lifetime == timedelta(minutes=60)
    assert variables(mistakes_of(access_token_lifetime="3601s")) == ["OSTIARY_ACCESS_TOKEN_LIFETIME"]


@pytest.mark.rule("TK-3")
def test_idle_time_is_not_longer_than_the_session() -> None:
    [mistake] = mistakes_of(refresh_token_lifetime="2d", refresh_token_idle="3d")
    assert mistake.variable == "OSTIARY_REFRESH_TOKEN_IDLE"
    assert "OSTIARY_REFRESH_TOKEN_LIFETIME, 2d" in mistake.message


@pytest.mark.rule("TK-5")
def test_replay_window_is_at_most_a_minute() -> None:
    assert variables(mistakes_of(refresh_replay_window="61s")) == ["OSTIARY_REFRESH_REPLAY_WINDOW"]


@pytest.mark.rule("RL-2")
def test_trusting_every_address_as_a_proxy_is_refused() -> None:
    assert variables(mistakes_of(trusted_proxies="0.0.0.0/0,::/0")) == ["OSTIARY_TRUSTED_PROXIES"] * 2


def test_a_mail_server_elsewhere_needs_a_mailbox_to_send_from() -> None:
    [mistake] = mistakes_of(mail_url="smtp://user:pw@mail.example.com")
    assert mistake.variable == "OSTIARY_MAIL_FROM"
    assert "mail.example.com cannot send from" in mistake.message
    Settings.load(mail_url="smtp://mail.example.com", mail_from="a@example.com")
    Settings.load(mail_url="smtp://localhost:1025")


@pytest.mark.rule("HT-5")
def test_cors_takes_exact_origins_only_and_none_by_default() -> None:
    assert Settings.load().cors_origins == ()
    assert variables(mistakes_of(cors_origins="*")) == ["OSTIARY_CORS_ORIGINS"]


@pytest.mark.parametrize("url", [None, "sqlite:///x.db"])
def test_several_workers_on_sqlite_are_never_possible(url: str | None) -> None:
    [mistake] = mistakes_of(workers=2, database_url=url)
    assert "SQLite is served by one process only" in mistake.message


def test_several_workers_are_possible_on_postgresql() -> None:
    assert Settings.load(workers=2, database_url=POSTGRESQL).workers == 2


def test_metrics_of_several_workers_need_a_port() -> None:
    options = {"workers": 2, "database_url": POSTGRESQL, "metrics_token": "f3b1c9e07a5d4862b9e4d17c60a8f25e"}
    [mistake] = mistakes_of(**options)
    assert (mistake.variable, "OSTIARY_METRICS_PORT" in mistake.message) == ("OSTIARY_METRICS_TOKEN", True)
    assert Settings.load(**options, metrics_port=9000).metrics_port == 9000


@pytest.mark.rule("ST-1")
def test_owner_url_goes_with_a_postgresql_database() -> None:
    settings = Settings.load(database_url=POSTGRESQL, database_owner_url="postgresql://owner@db.internal/ostiary")
    assert settings.database_owner_url == "postgresql://owner@db.internal/ostiary"
    assert settings.sqlite_file is None


def test_breached_passwords_file_must_be_one(tmp_path: Path) -> None:
    file = tmp_path / "breached.txt"
    file.write_text(f"{'A' * 40}:1\n{'B' * 40}:2\n")
    assert Settings.load(breached_passwords_file="breached.txt").breached_passwords_file == file
    [mistake] = mistakes_of(breached_passwords_file="missing.txt")
    assert f"{tmp_path / 'missing.txt'}, which cannot be read: No such file" in mistake.message
    file.write_text("password\n" * 10)
    [mistake] = mistakes_of(breached_passwords_file="breached.txt")
    assert f"cannot be used: {file}: byte 0 has no upper-case SHA-1 hash" in mistake.message


LOCAL = [
    {},
    {"host": "localhost"},
    {"host": "::1", "public_url": "http://[::1]:8000"},
    {"host": "127.8.9.10", "public_url": "https://accounts.localhost"},
]
REACHABLE = [
    {"host": "0.0.0.0"},
    {"host": "::"},
    {"host": "192.0.2.1"},
    {"host": "localhost.example.com"},
    {"public_url": "https://accounts.example.com"},
    {"host": "0.0.0.0", "public_url": "https://accounts.example.com"},
]


@pytest.mark.parametrize("options", LOCAL)
def test_on_loopback_members_see_each_other_by_default(options: dict[str, str]) -> None:
    assert Settings.load(**options).directory_visibility == "members"
    assert Settings.load(**options, directory_visibility="self").directory_visibility == "self"


@pytest.mark.rule("AD-5")
@pytest.mark.parametrize("options", REACHABLE)
def test_reachable_from_elsewhere_visibility_must_be_chosen(options: dict[str, str]) -> None:
    [mistake] = mistakes_of(**options)
    assert mistake.variable == "OSTIARY_DIRECTORY_VISIBILITY"
    assert "must be chosen" in mistake.message
    assert "members" in mistake.message
    assert "self" in mistake.message
    for choice in ("members", "self"):
        assert Settings.load(**options, directory_visibility=choice).directory_visibility == choice


@pytest.mark.rule("HT-6")
@pytest.mark.parametrize("options", LOCAL)
def test_on_loopback_the_reference_is_served_unless_switched_off(options: dict[str, str]) -> None:
    assert Settings.load(**options).api_docs is True
    assert Settings.load(**options, api_docs="off").api_docs is False


@pytest.mark.rule("HT-6")
@pytest.mark.parametrize("options", REACHABLE)
def test_reachable_from_elsewhere_the_reference_is_off_unless_switched_on(options: dict[str, str]) -> None:
    assert Settings.load(**options, directory_visibility="self").api_docs is False
    assert Settings.load(**options, directory_visibility="self", api_docs="on").api_docs is True
