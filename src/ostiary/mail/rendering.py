"""A message becomes words: subject, text and HTML, in one of the languages, from templates (SU-6).

An operator's directory comes before our templates, file by file: `password_changed/subject.txt` there takes the place
of ours, and `de/password_changed/subject.txt` only in German. What is wrong with it is found at start, not by the
first mail.
"""

import gettext
import re
import textwrap
import unicodedata
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from babel.dates import format_date, format_timedelta
from babel.lists import format_list
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, select_autoescape

from ostiary.db import Misconfigured
from ostiary.mail.languages import DEFAULT, LANGUAGES
from ostiary.mail.messages import MESSAGES, Linked, Message

TEMPLATES = Path(__file__).parent / "templates"
LOCALES = Path(__file__).parent / "locales"
FILES = ("subject.txt", "body.txt", "body.html")

_DATES = {"en": "en_GB", "de": "de_DE"}
_WIDTH = 72
_LONGEST_VALUE = 300
_SAMPLE_MOMENT = datetime(2026, 3, 29, 12, 30, tzinfo=UTC)


class Words(NamedTuple):
    """A rendered message."""

    subject: str
    text: str
    html: str


class Templates:
    """All templates, with the operator's directory before ours. Each language is compiled when first used."""

    def __init__(self, *, service_url: str, overrides: Path | None = None) -> None:
        self._service_url = service_url
        self._overrides = overrides
        self._environments: dict[str, Environment] = {}

    def render(self, message: Message, language: str) -> Words:
        """Put a message into words. Raises TemplateError where a template cannot be rendered."""
        language = language if language in LANGUAGES else DEFAULT
        environment = self._environments.get(language) or self._environment(language)
        known = _context(message, language, self._service_url)
        subject = _one_line(environment.get_template(f"{message.name}/subject.txt").render(known))
        known["subject"] = subject
        text = environment.get_template(f"{message.name}/body.txt").render(known)
        html = environment.get_template(f"{message.name}/body.html").render(known)
        return Words(subject, _laid_out(text), html.strip() + "\n")

    def check(self) -> None:
        """Render every message in every language with sample values, where an operator has changed any.

        Raises Misconfigured.
        """
        if self._overrides is None:
            return
        for path in sorted(self._overrides.rglob("*")):
            name = path.relative_to(self._overrides).as_posix()
            if path.is_file() and path.suffix in {".txt", ".html"} and _without_language(name) not in _names():
                raise Misconfigured(f"{path} takes no template's place: there is none called {_without_language(name)}")
        for language in LANGUAGES:
            for kind in MESSAGES.values():
                for message in samples(kind):
                    self._try(message, language)

    def _try(self, message: Message, language: str) -> None:
        where = f"the templates of the mail {message.name} ({language}) in {self._overrides}"
        try:
            words = self.render(message, language)
        except TemplateSyntaxError as error:
            raise Misconfigured(f"{error.filename or where}, line {error.lineno}: {error.message}") from None
        except (TemplateError, UnicodeDecodeError, OSError, TypeError, ValueError, ArithmeticError) as error:
            raise Misconfigured(f"{where} cannot be rendered: {error}") from None
        if not all(map(str.strip, words)):
            raise Misconfigured(f"{where} leave subject, text or HTML empty")
        if isinstance(message, Linked) and not all(message.token in part for part in (words.text, words.html)):
            raise Misconfigured(f"{where} leave the link out of text or HTML: it is called link")

    def _environment(self, language: str) -> Environment:
        before = [] if self._overrides is None else [self._overrides / language, self._overrides]
        environment = Environment(
            loader=FileSystemLoader([*before, TEMPLATES]),
            autoescape=select_autoescape(disabled_extensions=("txt",), default=True),
            undefined=StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.policies["ext.i18n.trimmed"] = True
        catalog = gettext.translation("mail", LOCALES, [language], fallback=language == DEFAULT)
        environment.install_gettext_translations(catalog, newstyle=True)  # type: ignore[attr-defined] # by the extension
        self._environments[language] = environment
        return environment


def samples(kind: type[Message]) -> Iterator[Message]:
    """Make a message with values for everything, and one with as little as there may be."""
    full: dict[str, Any] = {
        "username": "ada.lovelace",
        "token": "sample-token",
        "valid_for": timedelta(minutes=30),
        "at": _SAMPLE_MOMENT,
        "source": "203.0.113.7",
        "device": "Mozilla/5.0",
        "by": "grace.hopper",
        "new_address": "ada@example.org",
        "by_reset": True,
        "key_name": "Backups",
        "roles": ("editor", "support"),
    }
    little = full | {"source": None, "device": None, "by_reset": False, "roles": ()}
    little["by"] = "grace.hopper" if kind.name == "invitation" else None
    for values in (full, little):
        yield kind(**{field.name: values[field.name] for field in fields(kind)})


def _names() -> set[str]:
    return {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*") if path.is_file()}


def _without_language(name: str) -> str:
    first, _, rest = name.partition("/")
    return rest if first in LANGUAGES else name


def _context(message: Message, language: str, service_url: str) -> dict[str, Any]:
    """Answer what templates may use: the message's own values, and what is written differently in each language."""
    known = {field.name: _cleaned(getattr(message, field.name)) for field in fields(message)}
    known |= {"language": language, "service_url": service_url, "service": urlsplit(service_url).netloc}
    if isinstance(message, Linked):
        known["link"] = f"{service_url}{message.page}?token={message.token}"
        known["validity"] = format_timedelta(message.valid_for, locale=language, threshold=1)
    if "at" in known:
        known["when"] = f"{format_date(known['at'], 'long', locale=_DATES[language])}, {known['at']:%H:%M} UTC"
    if "new_address" in known:
        known["masked_address"] = masked(known["new_address"])
    if "roles" in known:
        known["role_names"] = format_list(known["roles"], locale=language)
    return known


def masked(address: str) -> str:
    """Show of an address what its owner recognises, and nobody else can write to."""
    local_part, _, domain = address.rpartition("@")
    return f"{local_part[:1]}…@{domain}"


def _cleaned(value: Any) -> Any:
    """Take out of a value that somebody chose what would draw, hide or forge lines; and all of it that is too long."""
    if isinstance(value, tuple):
        return tuple(map(_cleaned, value))
    return _one_line(value) if isinstance(value, str) else value


def _one_line(text: str) -> str:
    shown = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    return " ".join(shown.split())[:_LONGEST_VALUE]


def _laid_out(text: str) -> str:
    """Wrap paragraphs, but no line with an address in it, and leave at most one empty line between two."""
    wrapped = [
        line
        if "://" in line or line == "-- "
        else textwrap.fill(line, _WIDTH, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(wrapped)).strip("\n") + "\n"
