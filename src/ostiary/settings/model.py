"""The settings as the service uses them: read from all sources, checked as a whole, final.

After construction nothing is left to derive: what depends on other settings is worked out in the order of the fields
(`fields.py`), so a field's rules may look at the fields above it.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import PrivateAttr, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from ostiary.crypto.breached import BreachedFileError, BreachedPasswords
from ostiary.durations import format_duration
from ostiary.settings import values
from ostiary.settings.declaration import fact
from ostiary.settings.fields import Fields
from ostiary.settings.mail_url import FILES, parse_mail_url, parse_mailbox
from ostiary.settings.sources import ENVIRONMENT, Given, Mistake, SettingsError, read_sources, variable


class Settings(Fields):
    """All settings, validated and final. `load` is the way to get them; building one directly reads nothing."""

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

    @field_validator("mail_from")
    @classmethod
    def _check_mail_from(cls, value: str, info: ValidationInfo) -> str:
        server = parse_mail_url(info.data.get("mail_url", FILES))
        if server is not None and not values.is_loopback(server.host):
            domain = parse_mailbox(value).address.rpartition("@")[2]
            if values.is_loopback(domain):
                raise ValueError(
                    f"is {value}, which {server.host} cannot send from: choose a mailbox that it sends mail for"
                )
        return value

    @field_validator("mail_templates_dir")
    @classmethod
    def _check_mail_templates_dir(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError(f"names {value}, which is no directory")
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

    @field_validator("rate_limit_store")
    @classmethod
    def _choose_rate_limit_store(cls, value: str, info: ValidationInfo) -> str:
        """Work `auto` out, so that what is in force can be seen."""
        has_redis = info.data.get("redis_url") is not None
        if value == "auto":
            return "redis" if has_redis else "memory" if _on_sqlite(info.data) else "database"
        if value == "redis" and "redis_url" in info.data and not has_redis:
            raise ValueError(f"is redis, which needs {variable('redis_url')}")
        if value == "database" and _on_sqlite(info.data):
            raise ValueError(
                "is database, which is for PostgreSQL: with SQLite there is one server only, and its memory"
            )
        return value

    @field_validator("api_docs", mode="before")
    @classmethod
    def _derive_api_docs(cls, value: object, info: ValidationInfo) -> object:
        return _is_local(info.data) if value is None else value

    @field_validator("metrics_port")
    @classmethod
    def _check_metrics_port(cls, value: int | None, info: ValidationInfo) -> int | None:
        last = (value or 0) + info.data.get("workers", 1) - 1
        if value and last > values.MAX_PORT:
            raise ValueError(
                f"is {value}, but each worker has the next port, and there is none after {values.MAX_PORT}"
            )
        if value and value <= info.data.get("port", 0) <= last:
            raise ValueError(f"is {value}, and the API listens on {info.data['port']}, which is wanted for metrics too")
        return value

    @field_validator("metrics_token")
    @classmethod
    def _check_metrics_token(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("metrics_port") is None and info.data.get("workers", 1) > 1:
            raise ValueError(
                f"is given without {variable('metrics_port')}: of several workers, whichever took a request would tell"
                " of itself alone; with that, each has a port of its own"
            )
        return value

    @property
    def has_metrics(self) -> bool:
        """Tell whether anybody can ask for metrics."""
        return self.metrics_port is not None or self.metrics_token is not None


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
