"""Every option of the service: type, default, unit and meaning.

After construction nothing is left to derive: what depends on other settings is worked out in the order of the fields,
so a field's rules may look at the fields above it.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, PrivateAttr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ostiary.crypto.breached import BreachedFileError, BreachedPasswords
from ostiary.crypto.secret import LEAST_BYTES
from ostiary.durations import format_duration
from ostiary.settings import values
from ostiary.settings.declaration import Topic, fact, length, setting
from ostiary.settings.sources import ENVIRONMENT, Given, Mistake, SettingsError, read_sources, variable

_RATE = "a rate such as `100/minute`, `1000/hour`, `3/15minutes` or `5/10s`; at least 1, in a window of 1s to 24h"
_POSTGRESQL = "`postgresql://user:password@host/database`"
_SECRET = f"a random text of at least {LEAST_BYTES} bytes"


class Settings(BaseSettings):
    """All settings, validated and final. `load` is the way to get them; building one directly reads nothing."""

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
    workers: values.WholeNumber = setting(
        1, "Server processes.", Topic.STORAGE, "`1`: several processes need PostgreSQL and a later release"
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

    signup: Annotated[Literal["open", "closed"], BeforeValidator(values.parse_word)] = setting(
        "open", "Whether everybody may sign up, or nobody.", Topic.ACCOUNTS, "`open` or `closed`"
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

    rate_limit: values.Flag = setting(
        "on", "Request limits; off for load tests only. Guess throttling stays.", Topic.LIMITS, "`on` or `off`"
    )
    rate_limit_per_address: values.RequestRate = setting(
        "100/minute", "Requests from one address.", Topic.LIMITS, _RATE
    )
    rate_limit_per_user: values.RequestRate = setting("1000/hour", "Requests of one user.", Topic.LIMITS, _RATE)
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

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def load(cls, **options: object) -> Self:
        """Read all sources; `options` come first, and one that is None was not given.

        Raises SettingsError with everything that is wrong.
        """
        sources = read_sources(cls, options)
        mistakes = list(sources.mistakes)
        given: dict[str, Any] = {name: value.value for name, value in sources.given.items()}
        try:
            settings = cls(**given)
        except ValidationError as error:
            # What an unreadable file may have said is not demanded a second time.
            mistakes += [
                _mistake(name, failure, sources.given.get(name))
                for failure in error.errors(include_url=False, include_input=False)
                if (name := str(failure["loc"][0])) in sources.given or sources.complete
            ]
        else:
            if not mistakes:
                settings._origins = {name: value.origin for name, value in sources.given.items()}
                return settings
        raise SettingsError(tuple(mistakes))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - these are the names pydantic-settings calls with
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let construction take its arguments only: `load` reads the rest, to know where each value came from."""
        return (init_settings,)

    def origin(self, name: str) -> str:
        """Tell where a setting's value came from: `option`, `environment`, the name of a file, or `default`."""
        return self._origins.get(name, "option" if name in self.model_fields_set else "default")

    @property
    def sqlite_file(self) -> Path | None:
        """The file of the SQLite database, absolute; None when the database is PostgreSQL."""
        if self.database_url is None:
            return self.data_dir / "ostiary.db"
        path = self.database_url.removeprefix(values.SQLITE)
        return None if path == self.database_url else Path(path)

    @field_validator("public_url", mode="before")
    @classmethod
    def _derive_public_url(cls, value: object, info: ValidationInfo) -> object:
        return f"http://localhost:{info.data.get('port', 8000)}" if value is None else value

    @field_validator("database_owner_url")
    @classmethod
    def _check_database_owner_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and (value.startswith(values.SQLITE) or _on_sqlite(info.data)):
            raise ValueError
        return value

    @field_validator("workers")
    @classmethod
    def _check_workers(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and _on_sqlite(info.data):
            raise ValueError(f"is {value}, but SQLite is served by one process only: 1")
        if value != 1:
            raise ValueError
        return value

    @field_validator("secret_key_file", mode="before")
    @classmethod
    def _derive_secret_key_file(cls, value: object, info: ValidationInfo) -> object:
        if value is None:
            return info.data.get("data_dir", Path()) / "secret.key"
        if info.data.get("secret_key") is not None:
            raise ValueError(f"and {variable('secret_key')} are both given; only one of them can be")
        return value

    @field_validator("directory_visibility", mode="before")
    @classmethod
    def _derive_directory_visibility(cls, value: object, info: ValidationInfo) -> object:
        if value is not None:
            return value
        if not _is_local(info.data):
            raise ValueError(
                f"must be chosen, because the service can be reached from elsewhere (host {info.data['host']},"
                f" public URL {info.data['public_url']}): with members, every signed-in user sees the name and e-mail"
                " address of every other, and while sign-up is open anybody can be one; with self, users see themselves"
                " only. Superusers see everybody either way"
            )
        return "members"

    @field_validator("breached_passwords_file")
    @classmethod
    def _check_breached_passwords_file(cls, value: Path | None) -> Path | None:
        try:
            if value is not None:
                BreachedPasswords(value).close()
        except OSError as error:
            raise ValueError(f"names {value}, which cannot be read: {error.strerror}") from None
        except BreachedFileError as error:
            raise ValueError(f"cannot be used: {error}") from None
        return value

    @field_validator("token_audience", mode="before")
    @classmethod
    def _derive_token_audience(cls, value: object, info: ValidationInfo) -> object:
        return info.data.get("public_url", "unknown") if value is None else value

    @field_validator("refresh_token_idle", mode="before")
    @classmethod
    def _derive_refresh_token_idle(cls, value: object, info: ValidationInfo) -> object:
        if value is not None:
            return value
        return min(timedelta(days=7), info.data.get("refresh_token_lifetime", timedelta.max))

    @field_validator("refresh_token_idle")
    @classmethod
    def _check_refresh_token_idle(cls, value: timedelta, info: ValidationInfo) -> timedelta:
        longest = info.data.get("refresh_token_lifetime", timedelta.max)
        if value > longest:
            raise ValueError(
                f"is {format_duration(value)}; it must not be longer than"
                f" {variable('refresh_token_lifetime')}, {format_duration(longest)}"
            )
        return value

    @field_validator("api_docs", mode="before")
    @classmethod
    def _derive_api_docs(cls, value: object, info: ValidationInfo) -> object:
        return _is_local(info.data) if value is None else value


def _on_sqlite(data: Mapping[str, Any]) -> bool:
    """Tell whether the database is SQLite; no while that is not known for a mistake."""
    return "database_url" in data and (data["database_url"] or values.SQLITE).startswith(values.SQLITE)


def _is_local(data: Mapping[str, Any]) -> bool:
    """Tell whether only this machine reaches the service; yes while host or public URL are not known for a mistake."""
    if "host" not in data or "public_url" not in data:
        return True
    return values.is_loopback(data["host"]) and values.is_loopback(urlsplit(data["public_url"]).hostname or "")


def _mistake(name: str, failure: Mapping[str, Any], given: Given | None) -> Mistake:
    """Say what a setting accepts, and what it got unless that is secret; or the rule's own words where it has some."""
    field = Settings.model_fields[name]
    message = str(failure.get("ctx", {}).get("error", ""))
    if not message:
        value = values.mask_url(given.value) if given and isinstance(given.value, str) else given and given.value
        got = f", not {value!r}" if given and field.repr else ""
        message = f"must be {fact(field, 'accepts')}{got}".replace("`", "")
    where = f" ({given.origin})" if given and given.origin != ENVIRONMENT else ""
    return Mistake(variable(name), message + where)
