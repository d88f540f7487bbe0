"""The options of the service, read once at start and passed on; nobody imports a value from here.

A setting is given as a command-line option, as an environment variable `OSTIARY_…`, in `.env` or in a TOML file;
`Settings.load()` reads them all and reports all mistakes at once.

    declaration  how a setting is declared        model      the rules between the settings
    fields       every setting                    sources    where they come from
    values       the kinds of values              reference  all of them in words
"""

from ostiary.settings.model import Settings
from ostiary.settings.reference import Description, describe
from ostiary.settings.sources import Mistake, SettingsError
from ostiary.settings.values import is_loopback

__all__ = ["Description", "Mistake", "Settings", "SettingsError", "describe", "is_loopback"]
