"""A letter: the words of a message with the headers that mail has (RFC 5322, RFC 3834).

Nothing that anybody chose can add a header: the address is one that was parsed, and a subject has one line.
"""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import urlsplit

from ostiary.mail.rendering import Words
from ostiary.mail.transport import Letter
from ostiary.settings.mail_url import Mailbox, parse_mailbox

_POLICY = SMTP.clone(cte_type="7bit")  # what every server takes


def compose(
    words: Words, *, mail_id: str, name: str, sender: Mailbox, recipient: str, service_url: str, created_at: datetime
) -> Letter:
    """Write a letter. The same mail, sent again, has the same Message-ID, by which a receiver knows it.

    Raises ValueError for a recipient that is no address; it then never leaves.
    """
    if parse_mailbox(recipient) != Mailbox("", recipient):
        raise ValueError("the recipient is no plain address")
    letter = EmailMessage(policy=_POLICY)
    letter["From"] = Address(sender.name, addr_spec=sender.address)
    letter["To"] = Address(addr_spec=recipient)
    letter["Subject"] = words.subject
    letter["Date"] = created_at
    letter["Message-ID"] = f"<{mail_id}@{urlsplit(service_url).hostname}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(words.text, cte="quoted-printable")
    letter.add_alternative(words.html, subtype="html", cte="quoted-printable")
    letter.set_boundary(f"=_{mail_id}")  # which quoted-printable cannot contain
    return Letter(mail_id, name, created_at, sender.address, recipient, letter.as_bytes())
