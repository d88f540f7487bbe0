"""How a setting is declared: a field with everything that messages and documentation say about it."""

from enum import StrEnum
from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo

from ostiary.durations import parse_duration


class Topic(StrEnum):
    """What a setting is about: the headings of the documentation."""

    LISTENING = "Listening and addresses"
    STORAGE = "Storage"
    SECRETS = "The secret"
    ACCOUNTS = "Accounts and passwords"
    TOKENS = "Tokens and sessions"
    MAIL = "Mail"
    LIMITS = "Limits"
    BROWSERS = "Browsers"
    LOGS = "Logs"
    METRICS = "Metrics"
    TRACES = "Traces"


def setting(
    default: object, meaning: str, topic: Topic, accepts: str, *, shown: str = "", secret: bool = False, **rules: Any
) -> Any:
    """Declare a setting.

    `default` is written as people would write it; None where it is derived, and then `shown` says how. `accepts` is
    what the documentation and every message about a bad value say. The value of a secret appears in neither.
    """
    facts: dict[str, Any] = {"topic": topic.value, "accepts": accepts, "default": shown or f"`{default}`"}
    return Field(default, description=meaning, repr=not secret, validate_default=True, json_schema_extra=facts, **rules)


def length(default: str | None, meaning: str, topic: Topic, *, least: str, most: str, shown: str = "") -> Any:
    """Declare a setting that is a length of time between two others."""
    accepts = f"a length of time from {least} to {most}, written like `150ms`, `10s`, `15m`, `24h` or `30d`"
    bounds = parse_duration(least), parse_duration(most)
    return setting(default, meaning, topic, accepts, shown=shown, ge=bounds[0], le=bounds[1])


def fact(field: FieldInfo, name: str) -> str:
    """Give the `topic`, `accepts` or `default` with which a setting was declared."""
    facts = field.json_schema_extra
    return str(facts[name]) if isinstance(facts, dict) else ""
