"""What it takes to get a mail out: its words, the letter, and the way. Heavy to load, so nobody does before he must."""

from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from ostiary.mail.composing import compose
from ostiary.mail.delivery import MailServerTransport
from ostiary.mail.drop import FileDrop
from ostiary.mail.outbox import Content, Taken
from ostiary.mail.rendering import Templates
from ostiary.mail.transport import Letter, Session, Transport
from ostiary.settings import Settings
from ostiary.settings.mail_url import parse_mail_url, parse_mailbox


class Outgoing:
    """Mail as the settings say that it leaves."""

    def __init__(self, settings: Settings, *, transport: Transport | None = None) -> None:
        self._templates = Templates(service_url=settings.public_url, overrides=settings.mail_templates_dir)
        self._sender = parse_mailbox(settings.mail_from)
        self._service_url = settings.public_url
        self._transport = transport or _transport(settings)

    def check(self) -> None:
        """See that every mail can be written. Raises Misconfigured."""
        self._templates.check()

    def letter(self, mail: Taken, content: Content) -> Letter:
        """Write the letter. Raises whatever an operator's template makes go wrong."""
        return compose(
            self._templates.render(content.message, content.language),
            mail_id=mail.id,
            name=mail.message,
            sender=self._sender,
            recipient=content.to,
            service_url=self._service_url,
            created_at=mail.created_at,
        )

    def open(self) -> AbstractAsyncContextManager[Session]:
        """Begin a connection for some letters."""
        return self._transport.open()


def _transport(settings: Settings) -> Transport:
    server = parse_mail_url(settings.mail_url)
    if server is None:
        return FileDrop(settings.data_dir / "mail")
    return MailServerTransport(server, client_name=urlsplit(settings.public_url).hostname or "localhost")
