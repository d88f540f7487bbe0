"""Handing mail to a server (RFC 5321, RFC 6409): encrypted unless it is this machine, signed in where it asks for that.

What a server says about a recipient may repeat his address, so of that only the numbers reach the log (LA-2).
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

import aiosmtplib
from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from ostiary.mail.transport import Letter, Postponed, Refused, ServerAway, Undelivered
from ostiary.settings.mail_url import Encryption, MailServer

ANSWER_SECONDS = 30
"""How long the server may take for one answer."""
GOODBYE_SECONDS = 2

_CLOSING = 421
_PERMANENT = 500
_SIGN_IN_FIRST = 530  # RFC 4954 §6
_LONGEST_REASON = 200
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")  # RFC 3463
_TELLING = re.compile(r"\S*(?:@|://)\S*")


class MailServerTransport:
    """The way out through a mail server."""

    def __init__(self, server: MailServer, *, client_name: str, tls_context: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._client_name = client_name
        self._tls_context = tls_context

    @asynccontextmanager
    async def open(self) -> AsyncIterator["MailServerSession"]:
        """Connect, encrypt, sign in. Raises ServerAway."""
        server = self._server
        if self._tls_context is None and server.encryption is not Encryption.NEVER:
            self._tls_context = ssl.create_default_context()
        client = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            local_hostname=self._client_name,  # or it would ask the DNS what this machine is called
            use_tls=server.encryption is Encryption.AT_ONCE,
            start_tls=server.encryption is Encryption.STARTTLS,
            tls_context=self._tls_context,
            timeout=ANSWER_SECONDS,
        )
        try:
            await client.connect()
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            raise ServerAway(_in_words(error)) from None
        connection = cast("asyncio.Transport", client.transport)
        try:
            yield MailServerSession(client)
            with suppress(SMTPException, OSError, TimeoutError):  # a server that went wrong gets no goodbye
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await client.quit()
        finally:
            client.close()
            connection.abort()  # or under TLS it would stay open until the server says goodbye as well


class MailServerSession:
    """One connection to the server."""

    def __init__(self, client: SMTP) -> None:
        self._client = client

    async def send(self, letter: Letter) -> None:
        """Hand a letter over. Raises Undelivered."""
        try:
            await self._client.sendmail(letter.sender, [letter.recipient], letter.content)
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            raise _judged(error) from None


def _judged(error: Exception) -> Undelivered:
    """Decide whose fault it is that a letter was not taken, and for how long."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[refusal, *_]):
            return _judged(refusal)
        case SMTPResponseException(code=code) if code == _CLOSING:
            pass
        case aiosmtplib.SMTPSenderRefused():
            # We are not welcome, which an operator can mend: no letter is to be lost for that.
            return Postponed(_in_words(error))
        case aiosmtplib.SMTPRecipientRefused() if _not_welcome(error):
            return Postponed(_in_numbers(error))
        case aiosmtplib.SMTPRecipientRefused(code=code) | aiosmtplib.SMTPDataError(code=code):
            return (Refused if code >= _PERMANENT else Postponed)(_in_numbers(error))
        case ValueError():
            return Refused("the address cannot be written to the server")
    return ServerAway(_in_words(error))


def _not_welcome(refusal: SMTPResponseException) -> bool:
    """Tell whether a recipient was refused because of us, as by a server that relays only for those who signed in."""
    return refusal.code == _SIGN_IN_FIRST or str(refusal.message).startswith("5.7.")


def _in_words(error: Exception) -> str:
    """Say what went wrong, in one line that holds no address and no link."""
    code = f"{error.code} " if isinstance(error, SMTPResponseException) else ""
    said = str(getattr(error, "message", "") or error) or type(error).__name__
    return f"{code}{_TELLING.sub('…', ' '.join(said.split()))[:_LONGEST_REASON]}"


def _in_numbers(error: SMTPResponseException) -> str:
    """Say with what numbers a letter was refused, and at what point."""
    enhanced = _ENHANCED.match(str(error.message))
    place = "content" if isinstance(error, aiosmtplib.SMTPDataError) else "recipient"
    return f"the server refused the {place}: {error.code}{f' {enhanced[0]}' if enhanced else ''}"
