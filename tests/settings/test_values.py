"""How each value may be written, and how a bad one is refused."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from ostiary.durations import Rate
from ostiary.settings import Settings, is_loopback
from tests.settings.loading import POSTGRESQL, mistakes_of

ACCEPTED: list[tuple[str, object, object]] = [
    ("host", "[::1]", "::1"),
    ("port", "0", 0),
    ("port", 65535, 65535),
    ("public_url", "HTTP://LocalHost:8443/", "http://localhost:8443"),
    ("public_url", "https://localhost:443", "https://localhost"),
    ("public_url", "http://[0:0::1]:80", "http://[::1]"),
    (
        "trusted_proxies",
        "10.0.0.0/8, 192.0.2.7,,2001:db8::/32",
        tuple(map(ip_network, ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32"))),
    ),
    ("trusted_proxies", "", ()),
    ("database_url", "postgres://localhost/x?sslmode=disable", "postgres://localhost/x?sslmode=disable"),
    ("database_url", "postgresql:///x?host=/run/postgresql", "postgresql:///x?host=/run/postgresql"),
    ("database_url", "sqlite:////var/lib/users.db", "sqlite:////var/lib/users.db"),
    ("database_statement_cache", "off", False),
    ("rate_limit", "NO", False),
    ("access_log", "false", False),
    ("access_log", 0, False),
    ("password_pepper", "1", True),
    ("password_pepper", True, True),
    ("api_docs", "yes", True),
    ("directory_visibility", "Self", "self"),
    ("signup", "closed", "closed"),
    ("signup", "INVITE", "invite"),
    ("password_min_length", "256", 256),
    ("signing_algorithm", "EdDSA", "EdDSA"),
    ("access_token_lifetime", "60m", timedelta(hours=1)),
    ("access_token_lifetime", "1h", timedelta(hours=1)),
    ("access_token_lifetime", "1m", timedelta(minutes=1)),
    ("refresh_token_lifetime", "365d", timedelta(days=365)),
    ("refresh_token_idle", "30d", timedelta(days=30)),
    ("refresh_replay_window", "0", timedelta(0)),
    ("refresh_replay_window", 0, timedelta(0)),
    ("refresh_replay_window", "60s", timedelta(minutes=1)),
    ("login_failure_floor", "0s", timedelta(0)),
    ("login_failure_floor", "5s", timedelta(seconds=5)),
    ("redis_url", " redis://:p%40ss@cache:6380/2 ", "redis://:p%40ss@cache:6380/2"),
    ("redis_url", "rediss://user:pw@[2001:db8::1]", "rediss://user:pw@[2001:db8::1]"),
    (
        "redis_url",
        "redis+sentinel://:pw@a:1,b/main/3?sentinel_password=x",
        "redis+sentinel://:pw@a:1,b/main/3?sentinel_password=x",
    ),
    ("rate_limit_store", "AUTO", "memory"),
    ("rate_limit_per_address", "3/15minutes", Rate(3, timedelta(minutes=15))),
    ("rate_limit_per_address", "5/10s", Rate(5, timedelta(seconds=10))),
    ("rate_limit_per_user", "1/24h", Rate(1, timedelta(days=1))),
    (
        "cors_origins",
        "https://App.example.com:443/,capacitor://localhost",
        ("https://app.example.com", "capacitor://localhost"),
    ),
    ("mail_url", "file:", "file:"),
    ("mail_url", "smtp://a%40b:p%3Aw@127.0.0.1:2525", "smtp://a%40b:p%3Aw@127.0.0.1:2525"),
    ("mail_from", " Ostiary <no-reply@example.com> ", "Ostiary <no-reply@example.com>"),
    ("mail_templates_dir", "/tmp", Path("/tmp")),
    ("mail_limit_per_address", "3/15minutes", Rate(3, timedelta(minutes=15))),
    ("log_format", "json", "json"),
    ("log_level", "WARNING", "warning"),
]


@pytest.mark.parametrize(("name", "given", "value"), ACCEPTED, ids=[f"{name}={given}" for name, given, _ in ACCEPTED])
def test_good_value_is_read(name: str, given: object, value: object) -> None:
    assert getattr(Settings.load(**{name: given}), name) == value


REFUSED: dict[str, list[object]] = {
    "host": ["", "http://localhost", "localhost:8000", "a b", "*", "[::1"],
    "port": ["", "-1", "65536", "http", "80.0", True, 80.5, [80]],
    "public_url": [
        "", "localhost", "ftp://localhost", "http://localhost/path", "http://u@localhost", "http://localhost?x=1",
        "http://localhost#x", "http://localhost:70000", "http://[zz]", "http://[1.2.3.4]",
        "http://bücher.example", 5,
    ],
    "trusted_proxies": ["proxy.example.com", "10.0.0.1/8", "10.0.0.0/33", "0.0.0.0/0", "::/0", 10, [10]],
    "data_dir": ["", " ", "a\0b", 5, "~no-such-user-here/x"],
    "database_url": [
        "", "mysql://db/x", "postgresql", "postgresql+asyncpg://db/x", "sqlite://", "sqlite:///", "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro", "/var/lib/users.db", 5,
    ],
    "database_owner_url": ["mysql://db/x", "sqlite:///x.db", POSTGRESQL],
    "database_statement_cache": ["", "maybe", 2],
    "redis_url": [
        "", "redis", "redis://", "http://cache", "unix:///run/redis.sock", "redis://cache:port", "redis://cache:0",
        "redis://cache:65536", "redis://cache/x", "redis://cache/0/1", "redis://user@cache", "redis://a,b",
        "redis://cache?db=1", "redis://cache#1", "redis://cache?ssl_ca_certs=x", "rediss://cache?ssl_ca_certs=/no/file",
        "rediss://cache?ssl_cert_reqs=none", "redis+sentinel://a", "redis+sentinel://a,/service", "redis://[::1", 6379,
    ],
    "workers": ["0", "-1", "65", 2, "many"],
    "shutdown_delay": ["", "5", "-1s", "6m", 5],
    "secret_key_file": ["", 5],
    "signup": ["", "invited", "on"],
    "signup_privacy": ["", "maybe"],
    "require_verified_email": ["", "maybe"],
    "directory_visibility": ["", "all", "none"],
    "password_min_length": ["7", "257", "long", -8],
    "breached_passwords_file": ["", "no-such-file", "/"],
    "password_pepper": ["", "pepper"],
    "token_audience": ["", 5],
    "signing_algorithm": ["", "HS256", "none", "es256"],
    "access_token_lifetime": ["", "59s", "61m", "0", "15", "15 m", "-15m", "1.5h", "15minutes", 900, "9999999999d"],
    "refresh_token_lifetime": ["59s", "366d", "999999999d", "forever"],
    "refresh_token_idle": ["59s", "31d"],
    "refresh_replay_window": ["61s", "2m", "-1s"],
    "mail_url": [
        "", "file", "file:/var/mail", "smtp://", "smtp://user@mail.example.com", "smtp://:pw@mail.example.com",
        "smtp://mail.example.com:http", "smtp://mail.example.com:0", "smtp://mail.example.com:65536",
        "smtp://mail.example.com/inbox", "smtp://mail.example.com?tls=off", "http://mail.example.com",
        "mail.example.com", "smtp://[::1", 25,
    ],
    "mail_from": [
        "", "ostiary", "a@b, c@d", "a@b\r\nBcc: c@d", "<a@b", "Name a@b", "ä@b.example", "a@bücher.example", 5,
    ],
    "mail_templates_dir": ["", "no-such-directory", "/dev/null"],
    "mail_limit_per_address": ["0/minute", "3"],
    "mail_limit_per_source": ["10", "10/2days"],
    "rate_limit": ["", "100/minute"],
    "rate_limit_per_address": ["", "0/minute", "100", "1/25h", "1/500ms", "1/0s", "-1/minute", 100, {"a": 1}],
    "rate_limit_per_user": ["1000", "1000/2days"],
    "rate_limit_store": ["", "valkey", "database", "redis"],
    "login_failure_floor": ["5001ms", "6s", "fast"],
    "cors_origins": ["*", "https://*.example.com", "https://a.example/app", "null", "https://a.example,nope", 5],
    "api_docs": ["", "public"],
    "log_format": ["", "xml"],
    "log_level": ["", "loud", 20],
    "access_log": ["", "sometimes"],
    "metrics_host": ["", "http://localhost", "a b"],
    "metrics_port": ["", "-1", "65536", "http", 8000],
    "metrics_token": ["", "short"],
    "trace_endpoint": ["", "localhost", "ftp://localhost", "http://localhost/v1/traces"],
    "trace_percent": ["", "0", "101", "all"],
}  # fmt: skip


@pytest.mark.rule("AD-9")
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_bad_value_is_refused_by_name(name: str, value: object) -> None:
    [mistake] = mistakes_of(**{name: value})
    assert mistake.variable == f"OSTIARY_{name.upper()}"
    assert str(mistake).startswith(f"{mistake.variable} {mistake.message}")
    assert len(mistake.message) > 15
    assert "\n" not in mistake.message


def test_every_setting_is_tried_with_bad_values() -> None:
    assert set(Settings.model_fields) - set(REFUSED) == {"secret_key", "secret_key_previous"}  # tried below


def test_message_says_what_is_accepted_and_what_came() -> None:
    [mistake] = mistakes_of(port="http")
    assert str(mistake) == "OSTIARY_PORT must be a number from 0 to 65535 (0: any free port), not 'http' (option)"
    [mistake] = mistakes_of(trusted_proxies="10.0.0.1/8")
    assert "10.0.0.0/8" in mistake.message


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("localhost", True), ("LOCALHOST.", True), ("a.localhost", True), ("127.0.0.1", True), ("127.255.0.9", True),
        ("::1", True), ("::ffff:127.0.0.1", True), ("notlocalhost", False), ("localhost.com", False), ("", False),
        ("128.0.0.1", False), ("0.0.0.0", False), ("::", False), ("127.0.0.1.example.com", False),
    ],
)  # fmt: skip
def test_loopback_is_told_from_the_rest(host: str, answer: bool) -> None:  # noqa: FBT001 - a table
    assert is_loopback(host) is answer
