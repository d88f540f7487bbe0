"""Every setting in words, for `ostiary config` and the documentation."""

from dataclasses import dataclass

from ostiary.settings.declaration import fact
from ostiary.settings.model import Settings
from ostiary.settings.sources import variable
from ostiary.settings.values import as_text


@dataclass(frozen=True, slots=True)
class Description:
    """A setting in words (what is typed literally stands in backticks).

    Where settings were given, also its value as text, secrets masked, and where that came from.
    """

    name: str
    variable: str
    topic: str
    accepts: str
    default: str
    meaning: str
    value: str | None = None
    origin: str | None = None
    """`option`, `environment`, the name of a file, or `default`."""


def describe(settings: Settings | None = None) -> list[Description]:
    """Describe every setting in the order of the fields; with `settings`, their values too."""
    return [
        Description(
            name=name,
            variable=variable(name),
            topic=fact(field, "topic"),
            accepts=fact(field, "accepts"),
            default=fact(field, "default"),
            meaning=field.description or "",
            value=as_text(getattr(settings, name)) if settings else None,
            origin=settings.origin(name) if settings else None,
        )
        for name, field in Settings.model_fields.items()
    ]
