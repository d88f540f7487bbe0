"""A page becomes HTML, in one of the languages of mail, with the words of its own catalog."""

import gettext
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ostiary.mail.languages import DEFAULT

_HERE = Path(__file__).parent


def render(template: str, language: str, **facts: str) -> str:
    """Render a page; `facts` are its template's, and whatever a caller sent among them is shown as text."""
    return _environment(language).get_template(template).render(language=language, **facts)


@lru_cache(maxsize=16)
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.policies["ext.i18n.trimmed"] = True
    catalog = gettext.translation("pages", _HERE / "locales", [language], fallback=language == DEFAULT)
    environment.install_gettext_translations(catalog, newstyle=True)  # type: ignore[attr-defined] # by the extension
    return environment
