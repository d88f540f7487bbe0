"""Where settings come from: options, the environment, `.env`, a TOML file; in this order the first that speaks wins."""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

PREFIX = "OSTIARY_"
ENVIRONMENT = "environment"
ENV_FILE = ".env"
CONFIG_FILE = "ostiary.toml"
CONFIG_FILE_NAME = "config_file"  # with the prefix: the variable that names another TOML file

# What Kubernetes sets in every pod of a namespace that has a Service called ostiary or ostiary-something.
_SERVICE_LINK = re.compile(r"\w*(service_host|service_port|port_\d+_(tcp|udp))(_\w+)?", re.ASCII)
_SERVICE_LINK_VALUES = ("tcp://", "udp://")


def variable(name: str) -> str:
    """Give the environment variable of a setting."""
    return PREFIX + name.upper()


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong: the variable (or file, or key in it), and a message that continues its name."""

    variable: str
    message: str

    def __str__(self) -> str:
        """Read as one sentence."""
        return f"{self.variable} {self.message}"


class SettingsError(Exception):
    """The settings cannot be used; `mistakes` holds everything that is wrong."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        self.mistakes = mistakes
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__("\n".join([f"The settings have {count}:", *(f"  {mistake}" for mistake in mistakes)]))


@dataclass(frozen=True, slots=True)
class Given:
    """A value somebody gave, and where: `option`, `environment`, or the name of a file."""

    value: object
    origin: str


@dataclass(frozen=True, slots=True)
class Sources:
    """All that was given for known settings, what was wrong with the rest, and whether every file could be read."""

    given: Mapping[str, Given]
    mistakes: tuple[Mistake, ...]
    complete: bool


def read_sources(settings_class: type[BaseSettings], options: Mapping[str, object]) -> Sources:
    """Read everything that may hold a setting. An option that is None was not given. Raises nothing."""
    unreadable: list[Mistake] = []
    environment = _settings_in(EnvSettingsSource(settings_class).env_vars)
    env_file = _settings_in(
        _attempt(ENV_FILE, lambda: DotEnvSettingsSource(settings_class, ENV_FILE, "utf-8").env_vars, unreadable)
    )
    named = environment.get(CONFIG_FILE_NAME, env_file.get(CONFIG_FILE_NAME))
    config_file = CONFIG_FILE if named is None else str(named)
    toml = _attempt(
        CONFIG_FILE if named is None else variable(CONFIG_FILE_NAME),
        lambda: _read_toml(Path(config_file), required=named is not None),
        unreadable,
    )
    used = {name: value for name, value in options.items() if value is not None}
    given: dict[str, Given] = {}
    unknown: list[Mistake] = []
    for origin, values in (("option", used), (ENVIRONMENT, environment), (ENV_FILE, env_file), (config_file, toml)):
        for name, value in values.items():
            if name in settings_class.model_fields:
                given.setdefault(name, Given(value, origin))
            elif name != CONFIG_FILE_NAME or origin not in {ENVIRONMENT, ENV_FILE}:
                unknown.append(_unknown(name, origin, settings_class.model_fields))
    return Sources(given, (*unreadable, *unknown), complete=not unreadable)


def _attempt(name: str, read: Callable[[], Mapping[str, Any]], unreadable: list[Mistake]) -> Mapping[str, Any]:
    """Read a file, or note why that is not possible and go on without it."""
    try:
        return read()
    except OSError as error:
        unreadable.append(Mistake(name, f"cannot be read: {error.filename}: {error.strerror}"))
    except ValueError as error:  # not UTF-8, or not TOML; neither text repeats values
        unreadable.append(Mistake(name, f"cannot be understood: {error}"))
    return {}


def _read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    if not required and not path.exists():
        return {}
    with path.open("rb") as file:
        return tomllib.load(file)


def _settings_in(variables: Mapping[str, str | None]) -> dict[str, str]:
    """Pick our variables (pydantic-settings gives their names in lower case) and cut off the prefix."""
    prefix = PREFIX.lower()
    ours = {name.removeprefix(prefix): value or "" for name, value in variables.items() if name.startswith(prefix)}
    return {name: value for name, value in ours.items() if not _made_by_kubernetes(name, value)}


def _made_by_kubernetes(name: str, value: str) -> bool:
    return _SERVICE_LINK.fullmatch(name) is not None or value.startswith(_SERVICE_LINK_VALUES)


def _unknown(name: str, origin: str, known: Iterable[str]) -> Mistake:
    """Name what is no setting, spelt as its source spells, and the setting that was probably meant."""
    spell = variable if origin in {ENVIRONMENT, ENV_FILE} else str
    bare = name.lower().removeprefix(PREFIX.lower())
    close = difflib.get_close_matches(bare, [*known, CONFIG_FILE_NAME], n=1)
    hint = f"; did you mean {spell(close[0])}?" if close else ""
    return Mistake(spell(name), f"is not a setting ({origin}){hint}")
