"""Bring the catalogs of translated words up to date with the templates: `python tools/catalogs.py`, or `--check`.

For each folder with templates and each language: takes the English texts out of the templates, adds the new ones to
the `.po` file, where a person translates them, takes out those that are gone, and compiles the `.mo` file, which is
what the service reads. Both are kept in the repository. Texts without a translation are listed, and fail the check.
"""

import argparse
import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("de",)
JINJA = {"trimmed": "true", "silent": "false"}


class Domain(NamedTuple):
    """A folder with templates and catalogs of its own."""

    name: str
    folder: Path

    def catalog(self, language: str) -> Path:
        """Answer where a language's `.po` file is; its `.mo` is beside it."""
        return self.folder / "locales" / language / "LC_MESSAGES" / f"{self.name}.po"


DOMAINS = (
    Domain("mail", ROOT / "src" / "ostiary" / "mail"),
    Domain("pages", ROOT / "src" / "ostiary" / "verification" / "pages"),
)


def main() -> int:
    """Write the catalogs, or with --check compare them and answer 1 when one is stale or lacks a translation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when a catalog is not as it must be"
    )
    only_check = parser.parse_args().check
    wrong = 0
    for domain in DOMAINS:
        for language in LANGUAGES:
            wrong += _update(domain, language, only_check=only_check)
    return int(wrong > 0)


def _update(domain: Domain, language: str, *, only_check: bool) -> int:
    """Bring one catalog up to date; answer how much is wrong with it."""
    path, wrong = domain.catalog(language), 0
    catalog = _merged(domain, language)
    for message in catalog:
        if message.id and not (message.string and all(message.string)):
            print(f"{path.relative_to(ROOT)}: no translation of {message.id!r}")
            wrong += 1
        for error in message.check(catalog):
            print(f"{path.relative_to(ROOT)}: {message.id!r}: {error}")
            wrong += 1
    for file, content in ((path, _po(catalog)), (path.with_suffix(".mo"), _mo(catalog))):
        if file.exists() and file.read_bytes() == content:
            continue
        if only_check:
            print(f"{file.relative_to(ROOT)} is stale: run `python tools/catalogs.py` and commit the result")
            wrong += 1
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            print(f"{file.relative_to(ROOT)} written")
    return wrong


def _merged(domain: Domain, language: str) -> Catalog:
    path = domain.catalog(language)
    merged = Catalog(
        language,
        domain.name,
        project="Ostiary",
        header_comment=f"# The words of {domain.folder.relative_to(ROOT).as_posix()}/ in another language.",
        creation_date=datetime(2026, 1, 1, tzinfo=UTC),  # what does not change makes no differences
        revision_date=datetime(2026, 1, 1, tzinfo=UTC),
        fuzzy=False,
    )
    known = read_po(io.BytesIO(path.read_bytes()), locale=language) if path.exists() else Catalog(language)
    for text, template in _texts(domain):
        before = known.get(text)
        merged.add(text, before.string if before else "", locations=[(template, 0)])
    return merged


def _texts(domain: Domain) -> Iterator[tuple[str, str]]:
    """Yield every text in the templates, and the template that it is in."""
    templates = domain.folder / "templates"
    methods = [("**.txt", "jinja2.ext:babel_extract"), ("**.html", "jinja2.ext:babel_extract")]
    found = extract_from_dir(templates, methods, {"**.txt": JINJA, "**.html": JINJA})
    for name, _, text, _, _ in sorted(found, key=lambda one: (one[0], one[1])):
        yield str(text), f"{templates.relative_to(ROOT)}/{name}"


def _po(catalog: Catalog) -> bytes:
    written = io.BytesIO()
    write_po(written, catalog, width=120, sort_output=True, include_lineno=False)
    return written.getvalue()


def _mo(catalog: Catalog) -> bytes:
    written = io.BytesIO()
    write_mo(written, catalog)
    return written.getvalue()


if __name__ == "__main__":
    sys.exit(main())
