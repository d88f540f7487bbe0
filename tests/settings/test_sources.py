"""Where settings come from, and that all mistakes are reported at once."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from ostiary.settings import Settings, SettingsError, describe
from tests.settings.loading import GOOD_SECRET, mistakes_of, variables


@pytest.mark.rule("AD-9")
def test_all_mistakes_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTIARY_PROT", "9000")
    monkeypatch.setenv("OSTIARY_HOST", "0.0.0.0")
    monkeypatch.setenv("OSTIARY_WORKERS", "4")
    Path(".env").write_text("OSTIARY_LOG_LEVL=debug\nOTHER=1\n")
    Path("ostiary.toml").write_text('cors = "*"\nsignup = "friends"\n[tokens]\nlifetime = "1h"\n')
    with pytest.raises(SettingsError) as caught:
        Settings.load(password_min_length=4)
    assert set(variables(caught.value.mistakes)) == {
        "OSTIARY_PROT",
        "OSTIARY_WORKERS",
        "OSTIARY_LOG_LEVL",
        "cors",
        "tokens",
        "OSTIARY_SIGNUP",
        "OSTIARY_DIRECTORY_VISIBILITY",
        "OSTIARY_PASSWORD_MIN_LENGTH",
    }
    lines = str(caught.value).splitlines()
    assert lines[0] == "The settings have 8 mistakes:"
    assert lines[1:] == [f"  {mistake}" for mistake in caught.value.mistakes]


def test_unknown_variable_suggests_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTIARY_PROT", "9000")
    [mistake] = mistakes_of()
    assert str(mistake) == "OSTIARY_PROT is not a setting (environment); did you mean OSTIARY_PORT?"


def test_unknown_key_in_a_file_suggests_the_nearest() -> None:
    Path("ostiary.toml").write_text("OSTIARY_PORT = 1\nacess_log = true\n")
    first, second = mistakes_of()
    assert second.message == "is not a setting (ostiary.toml); did you mean access_log?"
    assert str(first) == "OSTIARY_PORT is not a setting (ostiary.toml); did you mean port?"


def test_value_of_an_unknown_variable_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTIARY_SECRETKEY", GOOD_SECRET)
    [mistake] = mistakes_of()
    assert GOOD_SECRET not in str(mistake)
    assert "OSTIARY_SECRET_KEY?" in str(mistake)


def test_variables_that_kubernetes_makes_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTIARY_PORT", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("OSTIARY_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("OSTIARY_SERVICE_PORT_HTTP", "8000")
    monkeypatch.setenv("OSTIARY_PORT_8000_TCP", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("OSTIARY_PORT_8000_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("OSTIARY_WEB_PORT", "tcp://10.0.0.1:8000")
    assert Settings.load().port == 8000


def test_options_beat_environment_beats_env_file_beats_toml_beats_default(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ostiary.toml").write_text("port = 1\npassword_min_length = 9\nsignup = 'closed'\nlog_level = 'error'\n")
    Path(".env").write_text("OSTIARY_PORT=2\nOSTIARY_PASSWORD_MIN_LENGTH=10\nexport OSTIARY_SIGNUP='open'\nPORT=5\n")
    monkeypatch.setenv("OSTIARY_PORT", "3")
    monkeypatch.setenv("OSTIARY_PASSWORD_MIN_LENGTH", "11")
    settings = Settings.load(port=4, host=None)
    assert (settings.port, settings.password_min_length) == (4, 11)
    assert (settings.signup, settings.log_level, settings.log_format) == ("open", "error", "auto")
    origins = {setting.name: setting.origin for setting in describe(settings)}
    assert origins["port"] == "option"
    assert origins["password_min_length"] == "environment"
    assert origins["signup"] == ".env"
    assert origins["log_level"] == "ostiary.toml"
    assert origins["log_format"] == origins["host"] == "default"


def test_empty_variable_is_a_value_not_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret or a database lost on its way into a container must not silently be replaced by a new, empty one."""
    Path("ostiary.toml").write_text("cors_origins = ['https://a.example']\n")
    for name in ("OSTIARY_SECRET_KEY", "OSTIARY_DATABASE_URL", "OSTIARY_CORS_ORIGINS"):
        monkeypatch.setenv(name, "")
    Path(".env").write_text("OSTIARY_DATA_DIR\n")
    assert variables(mistakes_of()) == ["OSTIARY_DATA_DIR", "OSTIARY_DATABASE_URL", "OSTIARY_SECRET_KEY"]
    for name in ("OSTIARY_SECRET_KEY", "OSTIARY_DATABASE_URL"):
        monkeypatch.delenv(name)
    Path(".env").unlink()
    assert Settings.load().cors_origins == ()


def test_toml_file_takes_arrays_numbers_and_booleans() -> None:
    Path("ostiary.toml").write_text('trusted_proxies = ["10.0.0.0/8"]\nport = 9000\naccess_log = false\n')
    settings = Settings.load()
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"),)
    assert (settings.port, settings.access_log) == (9000, False)


def test_config_file_can_be_named_in_environment_or_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("ostiary.toml").write_text("port = 1\n")
    for number in (2, 3):
        (tmp_path / f"{number}.toml").write_text(f"port = {number}\n")
    Path(".env").write_text("OSTIARY_CONFIG_FILE=2.toml\n")
    assert Settings.load().port == 2
    monkeypatch.setenv("OSTIARY_CONFIG_FILE", str(tmp_path / "3.toml"))
    assert Settings.load().port == 3


@pytest.mark.parametrize("content", [b"port = \n", b"\xff", b"port = 1\nport = 2\n"])
def test_broken_toml_is_a_mistake_and_hides_no_other(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ostiary.toml").write_bytes(content)
    monkeypatch.setenv("OSTIARY_LOG_LEVEL", "loud")
    assert variables(mistakes_of()) == ["ostiary.toml", "OSTIARY_LOG_LEVEL"]


def test_what_an_unreadable_file_may_say_is_not_demanded() -> None:
    Path("ostiary.toml").write_text("directory_visibility = self\n")
    assert variables(mistakes_of(host="0.0.0.0")) == ["ostiary.toml"]


@pytest.mark.parametrize("named", ["missing.toml", ".", ""])
def test_named_config_file_must_be_readable(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTIARY_CONFIG_FILE", named)
    [mistake] = mistakes_of()
    assert mistake.variable == "OSTIARY_CONFIG_FILE"
    assert "cannot be read" in mistake.message


def test_env_file_that_is_not_text_is_a_mistake() -> None:
    Path(".env").write_bytes(b"OSTIARY_PORT=\xff\n")
    assert variables(mistakes_of()) == [".env"]
