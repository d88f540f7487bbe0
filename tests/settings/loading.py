"""Loading settings that are wrong, and values that are not."""

import pytest

from ostiary.settings import Mistake, Settings, SettingsError

GOOD_SECRET = "Zr3v9Qm1Lx7Tb5Yk2Wn8Hc4Jd6Fg0PsUaEoRiNt"
POSTGRESQL = "postgresql://ostiary:hunter2@db.internal/ostiary"


def mistakes_of(**options: object) -> tuple[Mistake, ...]:
    with pytest.raises(SettingsError) as caught:
        Settings.load(**options)
    return caught.value.mistakes


def variables(mistakes: tuple[Mistake, ...]) -> list[str]:
    return [mistake.variable for mistake in mistakes]
