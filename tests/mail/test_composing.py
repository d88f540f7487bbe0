"""Letters have the headers that mail has, and no others."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

import pytest

from ostiary.mail.composing import compose
from ostiary.mail.rendering import Words
from ostiary.mail.transport import Letter
from ostiary.settings.mail_url import parse_mailbox

HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]


def written(*, subject: str = "Größe", recipient: str = "a.d+a@example.com", sender: str = "x@y.example") -> Letter:
    return compose(
        Words(subject, "Grüße\n" + "long " * 300 + "\n", "<p>Grüße</p>\n"),
        mail_id="abc",
        name="reset_password",
        sender=parse_mailbox(sender),
        recipient=recipient,
        service_url="https://accounts.example.com:8443",
        created_at=datetime(2026, 3, 29, 12, 30, tzinfo=UTC),
    )


def test_a_letter_has_what_mail_needs() -> None:
    letter = written(sender="Ostiary für alle <no-reply@example.com>")
    assert letter.content.isascii()
    assert all(len(line) <= 78 for line in letter.content.split(b"\r\n"))
    assert b"\n" not in letter.content.replace(b"\r\n", b"")
    mail = message_from_bytes(letter.content, policy=default)
    assert mail.keys() == HEADERS
    assert mail["From"] == "Ostiary für alle <no-reply@example.com>"
    assert mail["To"] == letter.recipient == "a.d+a@example.com"
    assert letter.sender == "no-reply@example.com"
    assert mail["Subject"] == "Größe"
    assert mail["Date"].datetime == datetime(2026, 3, 29, 12, 30, tzinfo=UTC)
    assert mail["Message-ID"] == "<abc@accounts.example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    text, html = (part.get_content() for part in mail.iter_parts())
    assert text.startswith("Grüße\r\nlong long")
    assert html == "<p>Grüße</p>\r\n"


@pytest.mark.parametrize(
    "recipient",
    [
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com, b@example.com",
        "a",
        "",
        "<a@example.com>",
        "a b@example.com",
    ],
)
def test_what_is_no_address_is_never_written_to(recipient: str) -> None:
    with pytest.raises(ValueError):
        written(recipient=recipient)


def test_a_subject_cannot_add_a_header() -> None:
    with pytest.raises(ValueError):
        written(subject="x\r\nBcc: all@example.com")
