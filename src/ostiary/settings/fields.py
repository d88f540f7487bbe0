"""Every option of the service: type, default, unit and meaning. The rules between them are in `model.py`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ostiary.crypto.secret import LEAST_BYTES
from ostiary.settings import values
from ostiary.settings.declaration import Topic, length, setting
from ostiary.settings.mail_url import MailboxText, MailURL
from ostiary.settings.redis_url import RedisURL

_RATE = "a rate such as `100/minute`, `1000/hour`, `3/15minutes` or `5/10s`; at least 1, in a window of 1s to 24h"
_POSTGRESQL = "`postgresql://user:password@host/database`"
_SECRET = f"a random text of at least {LEAST_BYTES} bytes"


class Fields(BaseSettings):
    """The settings, in the order of the documentation. `Settings` is what has them."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: values.Host = setting("127.0.0.1", "Address to listen on.", Topic.LISTENING, "an IP address or a host name")
    port: values.WholeNumber = setting(
        8000, "Port to listen on.", Topic.LISTENING, "a number from 0 to 65535 (0: any free port)", ge=0, le=65535
    )
    public_url: values.WebOrigin = setting(
        None,
        "Where clients reach the service; the issuer of its tokens.",
        Topic.LISTENING,
        "`http://host`, `https://host` or either with `:port`; no path, no user",
        shown="`http://localhost:{port}`",
    )
    shutdown_delay: values.Length = length(
        "0s",
        "After being told to stop, how long requests are still taken while `/readyz` says no.",
        Topic.LISTENING,
        least="0s",
        most="5m",
    )
    trusted_proxies: values.Networks = setting(
        "",
        "Proxies whose forwarding headers count.",
        Topic.LISTENING,
        "IP addresses or networks, in a list",
        shown="none",
    )

    data_dir: values.FilePath = setting(
        "./ostiary-data", "Directory of the SQLite file and the secret.", Topic.STORAGE, "a directory's path"
    )
    database_url: values.DatabaseURL | None = setting(
        None,
        "The database.",
        Topic.STORAGE,
        f"{_POSTGRESQL} or `sqlite:///path`; SQLite in memory is not possible",
        shown="SQLite, `ostiary.db` in `data_dir`",
        secret=True,
    )
    database_owner_url: values.DatabaseURL | None = setting(
        None,
        "The same PostgreSQL database as the role that owns the schema, for upgrades only.",
        Topic.STORAGE,
        f"{_POSTGRESQL}, together with such a `database_url`",
        shown="none: the role of `database_url` owns the schema",
        secret=True,
    )
    database_statement_cache: values.Flag = setting(
        "on",
        "Prepared statements on PostgreSQL; off for pgbouncer before 1.21 in transaction mode.",
        Topic.STORAGE,
        "`on` or `off`",
    )
    redis_url: RedisURL | None = setting(
        None,
        "A Redis or Valkey in which all servers count requests and mails against the limits.",
        Topic.STORAGE,
        "`redis://user:password@host:port/number`, `rediss://…` with TLS, or"
        " `redis+sentinel://user:password@host:port,host:port/service/number`",
        shown="none",
        secret=True,
    )
    workers: values.WholeNumber = setting(
        1,
        "Server processes on this machine.",
        Topic.LISTENING,
        "a number from 1 to 64; more than 1 needs PostgreSQL",
        ge=1,
        le=64,
    )

    secret_key: values.SecretText | None = setting(
        None,
        "The one secret of the installation, from which all keys are derived.",
        Topic.SECRETS,
        _SECRET,
        shown="read from `secret_key_file`",
        secret=True,
    )
    secret_key_file: values.FilePath = setting(
        None,
        "File that holds the secret instead; made on first start, readable by its owner only.",
        Topic.SECRETS,
        "a file's path",
        shown="`secret.key` in `data_dir`",
    )
    secret_key_previous: values.SecretTexts = setting(
        "",
        "Earlier secrets that still count while the secret is being changed.",
        Topic.SECRETS,
        f"a list in which each is {_SECRET}; one with a comma inside fits only into the TOML file",
        shown="none",
        secret=True,
    )

    signup: Annotated[Literal["open", "invite", "closed"], BeforeValidator(values.parse_word)] = setting(
        "open",
        "Whether everybody may sign up, whoever was invited, or nobody.",
        Topic.ACCOUNTS,
        "`open`, `invite` or `closed`",
    )
    signup_privacy: values.Flag = setting(
        "off",
        "Sign-up answers for an address that is taken as for a new one, and tells its owner by mail.",
        Topic.ACCOUNTS,
        "`on` or `off`",
    )
    require_verified_email: values.Flag = setting(
        "off",
        "Nobody can sign in, or stay signed in, before he has proven his address.",
        Topic.ACCOUNTS,
        "`on` or `off`",
    )
    directory_visibility: Annotated[Literal["members", "self"], BeforeValidator(values.parse_word)] = setting(
        None,
        "Whether signed-in users see every user, or themselves only; superusers always see all.",
        Topic.ACCOUNTS,
        "`members` or `self`",
        shown="`members` while `host` and `public_url` are loopback addresses, otherwise it must be chosen",
    )
    password_min_length: values.WholeNumber = setting(
        8, "Shortest password for new ones, in code points.", Topic.ACCOUNTS, "a number from 8 to 256", ge=8, le=256
    )
    breached_passwords_file: values.FilePath | None = setting(
        None,
        "File of breached passwords, which are refused: SHA-1 sorted by hash, as Have I Been Pwned publishes it.",
        Topic.ACCOUNTS,
        "the path of such a file",
        shown="none",
    )
    password_pepper: values.Flag = setting(
        "off", "Passwords are hashed with a key derived from the secret as well.", Topic.ACCOUNTS, "`on` or `off`"
    )

    token_audience: str = setting(
        None, "Audience (`aud`) of access tokens.", Topic.TOKENS, "a text", shown="`public_url`", min_length=1
    )
    signing_algorithm: Literal["ES256", "EdDSA", "RS256"] = setting(
        "ES256", "Algorithm of new keys that sign access tokens.", Topic.TOKENS, "`ES256`, `EdDSA` or `RS256`"
    )
    access_token_lifetime: values.Length = length(
        "15m", "How long an access token is valid.", Topic.TOKENS, least="1m", most="60m"
    )
    refresh_token_lifetime: values.Length = length(
        "30d", "How long a session lasts at most, however often it is refreshed.", Topic.TOKENS, least="1m", most="365d"
    )
    refresh_token_idle: values.Length = length(
        None,
        "How long a session lasts without being refreshed; not longer than `refresh_token_lifetime`.",
        Topic.TOKENS,
        least="1m",
        most="365d",
        shown="`7d`, or `refresh_token_lifetime` where that is shorter",
    )
    refresh_replay_window: values.Length = length(
        "10s",
        "How long a spent refresh token is answered with its successor again.",
        Topic.TOKENS,
        least="0s",
        most="60s",
    )

    mail_url: MailURL = setting(
        "file:",
        "The server that takes mail, with STARTTLS unless it is this machine; or files in `data_dir`, for development.",
        Topic.MAIL,
        "`smtp://user:password@host:port`, `smtps://…` or `file:`; without user and password where none are needed",
        secret=True,
    )
    mail_from: MailboxText = setting(
        "ostiary@localhost",
        "The mailbox that mail comes from.",
        Topic.MAIL,
        "`address@example.com` or `Some Name <address@example.com>`, the address in ASCII; not at `localhost` where"
        " `mail_url` names another machine",
    )
    mail_templates_dir: values.FilePath | None = setting(
        None,
        "Directory of templates that take the place of ours, file by file.",
        Topic.MAIL,
        "a directory's path",
        shown="none",
    )
    mail_limit_per_address: values.RequestRate = setting(
        "3/15minutes", "Mails to one address that somebody asked for; more are not sent.", Topic.MAIL, _RATE
    )
    mail_limit_per_source: values.RequestRate = setting(
        "10/hour", "Mails that one source asked for; more are not sent.", Topic.MAIL, _RATE
    )

    rate_limit: values.Flag = setting(
        "on", "Request limits; off for load tests only. Guess throttling stays.", Topic.LIMITS, "`on` or `off`"
    )
    rate_limit_per_address: values.RequestRate = setting(
        "100/minute", "Requests from one address.", Topic.LIMITS, _RATE
    )
    rate_limit_per_user: values.RequestRate = setting("1000/hour", "Requests of one user.", Topic.LIMITS, _RATE)
    rate_limit_store: Annotated[Literal["auto", "memory", "database", "redis"], BeforeValidator(values.parse_word)] = (
        setting(
            "auto",
            "Where requests and mails are counted: in each server's memory, or for all servers together. Auto is Redis"
            " where there is one, else the database if it is PostgreSQL, else memory.",
            Topic.LIMITS,
            "`auto`, `memory`, `database` (PostgreSQL) or `redis` (with `redis_url`)",
        )
    )
    login_failure_floor: values.Length = length(
        "150ms", "No failed login is answered earlier than this.", Topic.LIMITS, least="0s", most="5s"
    )

    cors_origins: values.Origins = setting(
        "",
        "Web pages of other origins whose scripts may call the API.",
        Topic.BROWSERS,
        "exact origins, `https://host` or `https://host:port`, in a list",
        shown="none",
    )
    api_docs: values.Flag = setting(
        None,
        "The API reference at `/docs` and `/openapi.json`.",
        Topic.BROWSERS,
        "`on` or `off`",
        shown="`on` while `host` and `public_url` are loopback addresses, else `off`",
    )

    log_format: Annotated[Literal["auto", "console", "json"], BeforeValidator(values.parse_word)] = setting(
        "auto", "Form of the log; auto is console on a terminal, else JSON.", Topic.LOGS, "`auto`, `console` or `json`"
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(values.parse_word)
    ] = setting("info", "Least weight that is logged.", Topic.LOGS, "`debug`, `info`, `warning`, `error` or `critical`")
    access_log: values.Flag = setting("on", "One line in the log for each request.", Topic.LOGS, "`on` or `off`")

    metrics_host: values.Host = setting(
        "127.0.0.1", "Address on which `metrics_port` listens.", Topic.METRICS, "an IP address or a host name"
    )
    metrics_port: values.WholeNumber | None = setting(
        None,
        "Port that serves `/metrics` and nothing else; of several workers, the first takes it and each the next.",
        Topic.METRICS,
        "a number from 0 to 65535 (0: any free port), not that of `port`",
        shown="none",
        ge=0,
        le=65535,
    )
    metrics_token: values.SecretText | None = setting(
        None,
        "The bearer token that `/metrics` asks for; without `metrics_port`, it is served beside the API.",
        Topic.METRICS,
        _SECRET,
        shown="none: without it and `metrics_port` there are no metrics",
        secret=True,
    )

    trace_endpoint: values.WebOrigin | None = setting(
        None,
        "An OpenTelemetry collector that takes traces (OTLP over HTTP, at `/v1/traces`); needs `ostiary[otel]`.",
        Topic.TRACES,
        "`http://host:port` or `https://host:port`; no path, no user",
        shown="none: nothing is traced",
    )
    trace_percent: values.WholeNumber = setting(
        100,
        "How many of 100 requests are traced, where no trusted proxy has decided it.",
        Topic.TRACES,
        "a number from 1 to 100",
        ge=1,
        le=100,
    )
