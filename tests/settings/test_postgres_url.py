"""PostgreSQL URLs as people paste them: what is understood, what is verified, what is refused."""

import ssl

import asyncpg
import pytest

from ostiary.settings.postgres_url import parse


@pytest.mark.rule("ST-1")
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@db.example.com/app",
        "postgresql://u:p@db.example.com/app?sslmode=require",
        "postgresql://u:p@db.example.com/app?sslmode=verify-full",
        "postgresql://u:p@127.0.0.1,db.example.com/app",
        "postgresql:///app?host=db.example.com",
        "postgresql://u:p@10.0.0.1/app",
    ],
)
def test_tls_with_host_name_is_verified_for_servers_elsewhere(url: str) -> None:
    context = parse(url).ssl
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.rule("ST-1")
@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_a_connection_that_could_be_read_on_the_way_is_refused(mode: str) -> None:
    with pytest.raises(ValueError, match=f"sslmode={mode}.*verify-full"):
        parse(f"postgresql://u:p@db.example.com/app?sslmode={mode}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@localhost/app",
        "postgresql://u:p@127.0.0.1:5433/app?sslmode=prefer",
        "postgresql://u:p@[::1]:5433/app",
        "postgresql:///app?host=/var/run/postgresql",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/app",
        "postgresql:///app",
    ],
)
def test_loopback_and_unix_sockets_need_no_tls(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGHOST", raising=False)
    assert parse(url).ssl is False


def test_a_host_from_the_environment_counts_like_one_in_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")
    assert isinstance(parse("postgresql:///app").ssl, ssl.SSLContext)


def test_verify_ca_checks_the_certificate_and_not_the_name() -> None:
    context = parse("postgresql://u:p@db.example.com/app?sslmode=verify-ca").ssl
    assert isinstance(context, ssl.SSLContext)
    assert not context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@db.example.com/app?sslmode=sometimes",
        "postgresql://u:p@db.example.com/app?sslrootcert=/nowhere/ca.pem",
        "postgresql://u:p@[::1/app",
        "postgresql://u:p@db.example.com/app?nonsense",
    ],
)
def test_what_cannot_be_used_is_one_line_without_the_password(url: str) -> None:
    with pytest.raises(ValueError) as refusal:
        parse(url.replace(":p@", ":hunter2-hunter2@"))
    assert "\n" not in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_parameters_that_only_libpq_knows_do_not_reach_the_server() -> None:
    target = parse("postgres://u:p@localhost/app?channel_binding=require&connect_timeout=10&application_name=mine")
    assert "channel_binding" not in target.dsn
    assert "connect_timeout" not in target.dsn
    assert "application_name=mine" in target.dsn
    assert target.dsn.startswith("postgresql://u:p@localhost/app?")


def test_a_standby_is_never_taken() -> None:
    assert "target_session_attrs=primary" in parse("postgresql://u:p@localhost/app").dsn
    assert "target_session_attrs=read-write" in parse("postgresql://localhost/app?target_session_attrs=read-write").dsn
    for attributes in ("any", "standby", "prefer-standby", "read-only", ""):
        with pytest.raises(ValueError, match="target_session_attrs"):
            parse(f"postgresql://u:p@localhost/app?target_session_attrs={attributes}")


def test_the_place_names_host_and_database_and_no_password() -> None:
    place = parse("postgresql://somebody:hunter2@db.example.com:5433/accounts").place
    assert place == "PostgreSQL database accounts at db.example.com"


def test_asyncpg_reads_what_we_hand_on() -> None:
    """The parts that asyncpg itself parses: sockets in the host parameter, several hosts, escaped passwords."""
    dsn = parse("postgres://u:p%40ss@h1:1,h2:2/app?sslmode=require&target_session_attrs=read-write").dsn
    addresses, parameters, *_ = asyncpg.connect_utils._parse_connect_dsn_and_args(  # type: ignore[attr-defined]
        dsn=dsn,
        **dict.fromkeys(("host", "port", "user", "password", "passfile", "database", "service", "servicefile")),
        **dict.fromkeys(("direct_tls", "server_settings", "target_session_attrs", "krbsrvname", "gsslib")),
        ssl=False,
    )
    assert addresses == [("h1", 1), ("h2", 2)]
    assert (parameters.user, parameters.password, parameters.database) == ("u", "p@ss", "app")
