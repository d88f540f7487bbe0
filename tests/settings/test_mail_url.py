"""What a mail URL and a mailbox stand for."""

import pytest

from ostiary.settings import Settings, describe
from ostiary.settings.mail_url import Encryption, Mailbox, MailServer, parse_mail_url, parse_mailbox
from tests.settings.loading import mistakes_of

SERVERS = [
    ("smtp://mail.example.com", MailServer("mail.example.com", 587, Encryption.STARTTLS, None, None)),
    ("smtps://Mail.example.com/", MailServer("mail.example.com", 465, Encryption.AT_ONCE, None, None)),
    ("smtp://10.0.0.5:25", MailServer("10.0.0.5", 25, Encryption.STARTTLS, None, None)),
    ("smtp://localhost:1025", MailServer("localhost", 1025, Encryption.NEVER, None, None)),
    ("smtp://[::1]:25", MailServer("::1", 25, Encryption.NEVER, None, None)),
    ("smtps://localhost", MailServer("localhost", 465, Encryption.AT_ONCE, None, None)),
    ("smtp://a%40b:p%3A%2Fw@h.example", MailServer("h.example", 587, Encryption.STARTTLS, "a@b", "p:/w")),
]


@pytest.mark.parametrize(("url", "server"), SERVERS)
def test_only_this_machine_is_spoken_to_in_plain(url: str, server: MailServer) -> None:
    assert parse_mail_url(url) == server


def test_a_file_url_is_no_server() -> None:
    assert parse_mail_url("file:") is None


@pytest.mark.rule("LA-2")
def test_the_password_is_shown_nowhere() -> None:
    settings = Settings.load(mail_url="smtp://user:hunter2@mail.example.com", mail_from="a@example.com")
    shown = {setting.name: setting.value for setting in describe(settings)}
    assert shown["mail_url"] == "smtp://user:********@mail.example.com"
    assert "hunter2" not in repr(settings)
    for url in ("smtp://user:hunter2@mail.example.com:hunter2", "smtp://user:hunter2@[mail", "smpt://user:hunter2@h"):
        [mistake] = mistakes_of(mail_url=url)
        assert "hunter2" not in str(mistake)


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("a@b.example", Mailbox("", "a@b.example")),
        ("<a@b.example>", Mailbox("", "a@b.example")),
        ('"Smith, A." <a@b.example>', Mailbox("Smith, A.", "a@b.example")),
        ("Größe <a@localhost>", Mailbox("Größe", "a@localhost")),
    ],
)
def test_a_mailbox_has_an_address_and_may_have_a_name(text: str, mailbox: Mailbox) -> None:
    assert parse_mailbox(text) == mailbox
