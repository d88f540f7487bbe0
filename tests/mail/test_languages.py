"""Which language somebody gets."""

import pytest

from ostiary.mail.languages import choose_language

CHOICES = [
    ("de", None, "de"),
    ("de-AT", "en", "de"),
    ("DE", None, "de"),
    ("fr", "de", "de"),
    (None, "de-CH,de;q=0.9,en;q=0.8", "de"),
    (None, "en,de;q=0.9", "en"),
    (None, "fr;q=1, de;q=0.2", "de"),
    (None, "de;q=0, en;q=0.1", "en"),
    (None, "de ; q=0.5 , en ; q=0.9", "en"),
    (None, "*", "en"),
    (None, "", "en"),
    (None, None, "en"),
    (None, ";;q=,,\x00" * 500 + "de", "en"),
    (None, "de;q=9", "en"),
    (None, "d\u00e9", "en"),
]


@pytest.mark.parametrize(("chosen", "header", "expected"), CHOICES)
def test_the_chosen_language_wins_then_the_best_of_the_header(
    chosen: str | None, header: str | None, expected: str
) -> None:
    assert choose_language(chosen, header) == expected
