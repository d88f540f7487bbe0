"""A mail server (aiosmtpd) on a free port, in a thread: it keeps what it takes, and misbehaves when told to.

    with MailServer() as mail:
        mail.answers["RCPT"] = "550 5.1.1 no such user"      a word of the protocol, and what to answer to it
        mail.refused["ada@example.com"] = "450 later"        the same, to one recipient
    mail.hangs_at = "DATA"                               or no answer at all

With a `Certificate` it offers STARTTLS, or speaks TLS `at_once`; with `users` it wants one of them to sign in.
"""

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HANGS_SECONDS = 3600


class Taken(NamedTuple):
    """A mail that the server took."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    encrypted: bool
    user: str | None

    @property
    def mail(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=default)


class MailServer:
    """The server; it runs from entering to leaving."""

    def __init__(
        self,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        at_once: bool = False,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self.taken: list[Taken] = []
        self.connections = 0
        self.signed_in: list[str] = []
        self.answers: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.hangs_at: str | None = None
        self.hanging = 0
        """How many have come so far that they wait for ever."""
        self.hangs_up_at: str | None = None
        self._tls, self._at_once, self._users = tls, at_once, dict(users or {})
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        encryption = self._tls if self._at_once else None
        server = self._loop.run_until_complete(
            self._loop.create_server(self._protocol, sock=self._listener, ssl=encryption)
        )
        self._loop.run_forever()
        server.close()
        under_way = asyncio.all_tasks(self._loop)
        for task in under_way:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*under_way, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _protocol(self) -> SMTP:
        self.connections += 1
        return SMTP(
            self,
            hostname="mail.test",
            tls_context=None if self._at_once else self._tls,
            require_starttls=self._tls is not None and not self._at_once,
            auth_required=bool(self._users) and not self._at_once,  # with both, aiosmtpd takes fright; see MAIL
            auth_require_tls=not self._at_once,
            authenticator=self._authenticate,
            loop=self._loop,
        )

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        user, password = data.login.decode(), data.password.decode()
        self.signed_in.append(user)
        return AuthResult(success=self._users.get(user) == password, handled=False, auth_data=user)

    async def _misbehave(self, word: str, server: SMTP) -> str | None:
        if self.hangs_at == word:
            self.hanging += 1
            await asyncio.sleep(HANGS_SECONDS)
        if self.hangs_up_at == word:
            cast("asyncio.Transport", server.transport).abort()
            return "421 gone"
        return self.answers.get(word)

    # What aiosmtpd calls.
    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = await self._misbehave("MAIL", server)
        if self._users and not session.authenticated:
            return "530 5.7.0 sign in first"
        if answer is None:
            envelope.mail_from = address
        return answer or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = await self._misbehave("RCPT", server) or self.refused.get(address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = await self._misbehave("DATA", server)
        if answer is None:
            assert isinstance(envelope.content, bytes)
            encrypted = session.ssl is not None or self._at_once
            user = str(session.auth_data) if session.authenticated else None
            self.taken.append(
                Taken(str(envelope.mail_from), tuple(envelope.rcpt_tos), envelope.content, encrypted, user)
            )
        return answer or "250 OK"


class Authority:
    """A certificate authority of the tests' own, and certificates from it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        self._certificate = self._signed(self._name, self._key, is_authority=True)
        self.file = directory / "authority.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def for_clients(self) -> ssl.SSLContext:
        """What trusts this authority."""
        return ssl.create_default_context(cafile=str(self.file))

    def for_server(self, host: str) -> ssl.SSLContext:
        """What a server of that name needs."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(x509.Name([]), key, host=host)
        file = self._directory / f"{host}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file)
        return context

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, host: str = "", is_authority: bool = False
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if host:
            names = [x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        return builder.sign(self._key, hashes.SHA256())
