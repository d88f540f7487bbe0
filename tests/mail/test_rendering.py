"""What mails say: every one in every language, with whatever people call themselves, and an operator's own words."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ostiary.app import create_app
from ostiary.db import Misconfigured
from ostiary.mail.languages import LANGUAGES
from ostiary.mail.messages import MESSAGES, APIKeyMade, Linked, Message, Notice, ResetPassword
from ostiary.mail.rendering import FILES, TEMPLATES, Templates, masked, samples
from tests.conftest import settings_for_tests

SERVICE = "https://accounts.example.com"
ROOT = Path(__file__).parents[2]
ENGLISH = re.compile(r"\b(the|account|this|you|address)\b", re.IGNORECASE)


def every_sample() -> Iterator[Message]:
    for kind in MESSAGES.values():
        yield from samples(kind)


@pytest.fixture(scope="module")
def templates() -> Templates:
    return Templates(service_url=SERVICE)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("message", [*every_sample()], ids=lambda message: message.name)
@pytest.mark.rule("SU-6")
def test_every_message_is_rendered_in_every_language(templates: Templates, message: Message, language: str) -> None:
    words = templates.render(message, language)
    assert words.subject == words.subject.strip()
    assert "accounts.example.com" in words.subject
    for part in (words.text, words.html):
        assert message.username in part
        assert not re.search(r"{{|{%|%\(|None|Undefined", part)
        if isinstance(message, Linked):
            assert f"{SERVICE}{message.page}?token={message.token}" in part
            assert ("30 Minuten" if language == "de" else "30 minutes") in part
        if isinstance(message, Notice):
            assert ("29. März 2026, 12:30 UTC" if language == "de" else "29 March 2026, 12:30 UTC") in part
            assert (message.by or "29") in part
            assert (message.source or "29") in part
    assert f'<html lang="{language}">' in words.html
    assert "\n\n\n" not in words.text
    assert all(len(line) <= 72 or "://" in line for line in words.text.splitlines())
    if language == "de":
        assert not ENGLISH.search(words.subject + words.text)


def test_an_unknown_language_is_english(templates: Templates) -> None:
    [message, _] = samples(ResetPassword)
    assert templates.render(message, "tlh") == templates.render(message, "en")


def test_every_message_has_its_templates_and_every_template_its_message() -> None:
    folders = {path.name for path in TEMPLATES.iterdir() if path.is_dir()} - {"parts"}
    assert folders == set(MESSAGES)
    for name in folders:
        assert {path.name for path in (TEMPLATES / name).iterdir()} == set(FILES)


def test_what_people_choose_draws_nothing_and_opens_nothing(templates: Templates) -> None:
    [sample, _] = samples(APIKeyMade)
    evil = "<img src=x onerror=a>\r\nBcc: all@example.com\x1b[2J\u202egnp" + "x" * 5000
    assert isinstance(sample, APIKeyMade)
    message = APIKeyMade(username=sample.username, at=sample.at, key_name=evil, device=evil, by=evil)
    words = templates.render(message, "en")
    assert "<img" not in words.html
    assert "&lt;img src=x onerror=a&gt; Bcc:" in words.html
    for part in words:
        assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", part)
        assert "x" * 400 not in part
    assert not any(line.startswith("Bcc") for line in words.text.splitlines())


def test_an_address_is_shown_so_that_its_owner_knows_it() -> None:
    assert masked("ada@example.org") == "a…@example.org"


def test_catalogs_are_complete_and_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, "tools/catalogs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


def overriding(directory: Path, files: dict[str, str]) -> Templates:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content, encoding="utf-8")
    return Templates(service_url=SERVICE, overrides=directory)


def test_a_directory_overrides_file_by_file_and_language_by_language(tmp_path: Path, templates: Templates) -> None:
    ours = overriding(
        tmp_path,
        {
            "reset_password/subject.txt": "Forgotten, {{ username }}?\n",
            "de/reset_password/subject.txt": "Vergessen, {{ username }}?\n",
            "layout.txt": "{% block body %}{% endblock %}\nThe Acme team\n",
            "README.md": "not a template",
        },
    )
    ours.check()
    message = ResetPassword(username="ada", token="t", valid_for=timedelta(minutes=30))
    before, after, german = (
        templates.render(message, "en"),
        ours.render(message, "en"),
        ours.render(message, "de"),
    )
    assert (after.subject, german.subject) == ("Forgotten, ada?", "Vergessen, ada?")
    assert after.text.endswith("\nThe Acme team\n")
    assert after.html == before.html.replace(before.subject, after.subject)
    other = MESSAGES["address_taken"](username="ada")
    assert ours.render(other, "en").subject == templates.render(other, "en").subject


BROKEN = {
    "syntax": ("reset_password/body.txt", "{{ link", r"reset_password/body\.txt, line 1: "),
    "unknown value": ("reset_password/body.txt", "{{ link }} {{ lnk }}", "reset_password .*'lnk' is undefined"),
    "no link": ("reset_password/body.html", "<p>Do it</p>", "reset_password .* leave the link out"),
    "empty": ("de/password_changed/subject.txt", " \n", r"password_changed \(de\) .*empty"),
    "unknown file": ("password-changed/subject.txt", "x", r"password-changed/subject\.txt takes no template's place"),
    "not UTF-8": ("reset_password/subject.txt", "\udcff", "reset_password .*cannot be rendered"),
    "a part": ("parts/happened.html", "{{ 1 / 0 }}", "address_change_asked .*division by zero"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_override_stops_the_start_with_one_line(tmp_path: Path, name: str) -> None:
    file, content, said = BROKEN[name]
    directory = tmp_path / "templates"
    (directory / file).parent.mkdir(parents=True)
    (directory / file).write_text(content, encoding="utf-8", errors="surrogateescape")
    settings = settings_for_tests(tmp_path / "data", None, mail_templates_dir=directory)
    with pytest.raises(Misconfigured, match=said) as refusal:
        create_app(settings)
    assert "\n" not in str(refusal.value)
    assert str(directory) in str(refusal.value)
