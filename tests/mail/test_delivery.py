"""Letters are handed to a real mail server, and every way in which that fails is told apart."""

import asyncio
import secrets
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ostiary.mail import delivery
from ostiary.mail.composing import compose
from ostiary.mail.delivery import MailServerTransport
from ostiary.mail.rendering import Words
from ostiary.mail.transport import Letter, Postponed, Refused, ServerAway, Undelivered
from ostiary.settings.mail_url import parse_mail_url, parse_mailbox
from tests.parts.smtp import Authority, MailServer

NAME = "mail.test"


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def letter(recipient: str = "ada@example.com") -> Letter:
    return compose(
        Words("Grüße", "Grüße\n.\nhttps://x.example/reset?token=geheim\n", "<p>Grüße</p>\n"),
        mail_id=secrets.token_hex(8),
        name="reset_password",
        sender=parse_mailbox("Ostiary <no-reply@example.com>"),
        recipient=recipient,
        service_url="https://x.example",
        created_at=datetime(2026, 3, 29, tzinfo=UTC),
    )


def transport(url: str, **options: Any) -> MailServerTransport:
    server = parse_mail_url(url)
    assert server is not None
    return MailServerTransport(server, client_name="accounts.example.com", **options)


def send(way: MailServerTransport, *letters: Letter) -> list[Undelivered | None]:
    """Send letters over one connection; answer how each fared. Raises ServerAway where there is no connection."""

    async def run() -> list[Undelivered | None]:
        fared: list[Undelivered | None] = []
        async with way.open() as session:
            for one in letters:
                try:
                    await session.send(one)
                except Undelivered as failure:
                    fared.append(failure)
                else:
                    fared.append(None)
        return fared

    async def run_to_the_end() -> list[Undelivered | None]:
        try:
            return await run()
        finally:  # a loop that went on, as a server's does, would finish closing what was closed
            await asyncio.wait_for(_all_closed(), timeout=10)

    return asyncio.run(run_to_the_end())


async def _all_closed() -> None:
    """Wait until the loop listens to nothing but itself."""
    selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    while len(selector.get_map()) > 1:  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0.01)


def test_letters_arrive_as_they_were_written_over_one_connection(mail: MailServer) -> None:
    letters = [letter("ada@example.com"), letter("grace@example.com"), letter("o'brien+x@example.com")]
    assert send(transport(mail.url), *letters) == [None] * 3
    assert mail.connections == 1
    assert [taken.recipients for taken in mail.taken] == [(one.recipient,) for one in letters]
    assert {taken.sender for taken in mail.taken} == {"no-reply@example.com"}
    assert [taken.content for taken in mail.taken] == [one.content for one in letters]
    text = mail.taken[0].mail.get_body(("plain",))
    assert text is not None
    assert text.get_content().replace("\r\n", "\n") == "Grüße\n.\nhttps://x.example/reset?token=geheim\n"


ANSWERS = [
    ("RCPT", "550 5.1.1 <ada@example.com> unknown", Refused, "the server refused the recipient: 550 5.1.1"),
    ("RCPT", "553 ada@example.com is odd", Refused, "the server refused the recipient: 553"),
    ("RCPT", "450 4.2.0 greylisted", Postponed, "the server refused the recipient: 450 4.2.0"),
    ("RCPT", "554 5.7.1 relay access denied", Postponed, "the server refused the recipient: 554 5.7.1"),
    ("RCPT", "530 sign in first", Postponed, "the server refused the recipient: 530"),
    ("RCPT", "421 closing", ServerAway, "421 closing"),
    ("DATA", "554 5.6.0 ada@example.com does not want this", Refused, "the server refused the content: 554 5.6.0"),
    ("DATA", "452 4.3.1 full", Postponed, "the server refused the content: 452 4.3.1"),
    ("MAIL", "550 no-reply@example.com may not send", Postponed, "550 … may not send"),
    ("MAIL", "451 later", Postponed, "451 later"),
]


@pytest.mark.parametrize(("word", "answer", "kind", "reason"), ANSWERS, ids=[answer[:20] for _, answer, *_ in ANSWERS])
@pytest.mark.rule("LA-2")
def test_a_refusal_is_for_good_or_for_now_and_names_nobody(
    mail: MailServer, word: str, answer: str, kind: type[Undelivered], reason: str
) -> None:
    mail.answers[word] = answer
    [failure] = send(transport(mail.url), letter())
    assert type(failure) is kind
    assert failure.reason == reason
    assert mail.taken == []


def test_after_a_refusal_the_same_connection_serves_the_next(mail: MailServer) -> None:
    async def run() -> None:
        async with transport(mail.url).open() as session:
            for word, kind in (("RCPT", Refused), ("DATA", Refused), ("MAIL", Postponed)):
                mail.answers[word] = "550 no"
                with pytest.raises(kind):
                    await session.send(letter())
                mail.answers.clear()
                await session.send(letter())

    asyncio.run(run())
    assert (len(mail.taken), mail.connections) == (3, 1)


def test_a_server_that_is_down_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ServerAway, match="Connect"):
        send(transport(f"smtp://127.0.0.1:{port}"), letter())


def test_a_server_that_says_nothing_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "ANSWER_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ServerAway, match="Timed out"):
        send(transport(f"smtp://127.0.0.1:{silent.getsockname()[1]}"), letter())


@pytest.mark.parametrize("word", ["MAIL", "RCPT", "DATA"])
def test_a_server_that_stops_answering_or_hangs_up_is_away(
    mail: MailServer, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    mail.hangs_up_at = word
    assert [type(failure) for failure in send(transport(mail.url), letter(), letter())] == [ServerAway] * 2
    mail.hangs_up_at, mail.hangs_at = None, word
    monkeypatch.setattr(delivery, "ANSWER_SECONDS", 1.0)
    assert [type(failure) for failure in send(transport(mail.url), letter())] == [ServerAway]
    assert mail.taken == []


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def _named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The DNS: there is one more name for this machine, which does not look like it."""
    resolve = socket.getaddrinfo

    def answer(host: Any, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == NAME else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.usefixtures("_named")
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_elsewhere_is_spoken_to_under_tls_and_signed_in_to(authority: Authority, scheme: str) -> None:
    context, users = authority.for_server(NAME), {"a@b": "p:/w"}
    with MailServer(tls=context, at_once=scheme == "smtps", users=users) as mail:
        url = f"{scheme}://a%40b:p%3A%2Fw@{NAME}:{mail.port}"
        assert send(transport(url, tls_context=authority.for_clients()), letter()) == [None]
        [taken] = mail.taken
        assert (taken.encrypted, taken.user) == (True, "a@b")
        url = f"{scheme}://a%40b:wrong@{NAME}:{mail.port}"
        with pytest.raises(ServerAway, match=r"^535 ") as refusal:
            send(transport(url, tls_context=authority.for_clients()), letter())
        assert "wrong" not in refusal.value.reason
        assert len(mail.taken) == 1


@pytest.mark.usefixtures("_named")
def test_a_server_elsewhere_without_starttls_hears_nothing_that_matters(authority: Authority) -> None:
    with MailServer(users={"a": "pw"}) as mail:
        with pytest.raises(ServerAway, match="STARTTLS"):
            send(transport(f"smtp://a:pw@{NAME}:{mail.port}", tls_context=authority.for_clients()), letter())
        assert (mail.taken, mail.signed_in) == ([], [])


@pytest.mark.usefixtures("_named")
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_elsewhere_that_cannot_prove_its_name_hears_nothing(
    authority: Authority, tmp_path: Path, scheme: str
) -> None:
    (tmp_path / "other").mkdir()
    others = Authority(tmp_path / "other")
    for context in (authority.for_server("another.test"), others.for_server(NAME)):
        with MailServer(tls=context, at_once=scheme == "smtps", users={"a": "pw"}) as mail:
            with pytest.raises(ServerAway, match=r"(?i)certificate"):
                send(transport(f"{scheme}://a:pw@{NAME}:{mail.port}", tls_context=authority.for_clients()), letter())
            assert (mail.taken, mail.signed_in) == ([], [])
