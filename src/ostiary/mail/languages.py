"""The languages that mail is written in, and which of them somebody reads."""

import re

from starlette.requests import Request

LANGUAGES = ("en", "de")
"""English is what the templates say; the others have catalogs under `locales`."""
DEFAULT = "en"

_MOST_RANGES = 20
_LONGEST_HEADER = 1000
_RANGE = re.compile(r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?")


def choose_language(chosen: str | None, accept_language: str | None = None) -> str:
    """Answer the language for somebody: the one he chose, else the best of his request's, else English.

    `chosen` is a tag such as `de` or `de-AT`; `accept_language` the header, which may hold anything (RFC 9110
    §12.5.4). Regions do not matter yet.
    """
    if chosen and (known := _known(chosen)):
        return known
    best, best_quality = DEFAULT, 0.0
    for part in (accept_language or "")[:_LONGEST_HEADER].split(",")[:_MOST_RANGES]:
        match = _RANGE.fullmatch(part)
        language = _known(match[1]) if match else None
        quality = float(match[2] or 1) if match else 0.0
        if language and quality > best_quality:
            best, best_quality = language, quality
    return best


def language_in(request: Request) -> str:
    """Answer the language of whoever sends a request, as far as his program says."""
    return choose_language(None, request.headers.get("accept-language"))


def _known(tag: str) -> str | None:
    primary = tag.partition("-")[0].lower()
    return primary if primary in LANGUAGES else None
