"""The worker gets mail out beside whatever is served, and writes none of it into the log."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ostiary.crypto.sealed import Sealer
from ostiary.mail import outbox, worker
from tests.audit.inside import recorded
from tests.conftest import MakeServer
from tests.mail.letters import changed, post, post_all, reset, somebody, waiting
from tests.mails import mail_to, mails
from tests.server import Server
from tests.sessions.beside import rows
from tests.sessions.waiting import wait_until


def test_a_mail_leaves_as_a_file_within_a_second_and_then_is_gone(server: Server) -> None:
    message, address = reset(), somebody()
    mail_id = post(server, message, to=address, language="de")
    since = time.monotonic()
    mail = mail_to(server.settings, address)
    assert time.monotonic() - since < 5, "a second, five times as long on a busy machine"
    assert mail.subject == f"Neues Passwort für {server.settings.public_url.removeprefix('http://')} wählen"
    assert mail.letter["Message-ID"].startswith(f"<{mail_id}@")
    assert mail.url == f"{server.settings.public_url}/reset?token={message.token}"
    assert mail.token == message.token
    assert "Guten Tag ada," in mail.text
    assert "Guten Tag ada," in mail.html
    wait_until(lambda: waiting(server, mail_id) == [])


def test_files_are_their_owners_alone(server: Server) -> None:
    address = somebody()
    post(server, changed(server), to=address)
    mail_to(server.settings, address)
    directory = server.settings.data_dir / "mail"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in directory.iterdir()} == {0o600}


def test_many_mails_leave_once_each(server: Server) -> None:
    addresses = {somebody() for _ in range(30)}
    before = len(mails(server.settings))
    post_all(server, changed(server), addresses)
    wait_until(lambda: rows(server.settings, "SELECT count(*) FROM mail_outbox WHERE tries = 0") == [(0,)])
    assert sorted(mail.to for mail in mails(server.settings)[before:]) == sorted(addresses)


def test_a_mail_that_is_too_late_is_given_up_and_that_is_recorded(make_server: MakeServer) -> None:
    server = make_server(mail_url="smtp://127.0.0.1:1")
    mail_id = post(server, reset(), to="ada@example.com", user_id=4711)
    server.clock.advance(minutes=30)
    wait_until(lambda: waiting(server, mail_id) == [])
    details = {"message": "reset_password", "tries": 0}
    assert recorded(server.settings, about=4711) == [("mail_given_up", None, 4711, details)]


@pytest.mark.any_engine
def test_an_operators_own_words_are_what_is_sent(make_server: MakeServer, tmp_path: Path) -> None:
    (tmp_path / "reset_password").mkdir()
    (tmp_path / "reset_password" / "subject.txt").write_text("Vergessen, {{ username }}?\n", encoding="utf-8")
    server, address = make_server(mail_templates_dir=tmp_path, mail_from="Haus <haus@example.com>"), somebody()
    post(server, reset(), to=address)
    mail = mail_to(server.settings, address)
    assert (mail.subject, mail.letter["From"]) == ("Vergessen, ada?", "Haus <haus@example.com>")
    assert "Open this link to go on:" in mail.text


@pytest.mark.any_engine
def test_what_cannot_be_put_into_words_waits_and_others_pass(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_some(taken: outbox.Taken, sealer: Sealer) -> outbox.Content:
        if taken.user_id == 99:
            raise LookupError
        return opened(taken, sealer)

    opened = outbox.open_content
    monkeypatch.setattr(worker, "open_content", break_some)
    bad = post(server, changed(server), to="x@example.com", user_id=99)
    address = somebody()
    post(server, changed(server), to=address)
    mail_to(server.settings, address)
    wait_until(lambda: waiting(server, bad)[0][1:] == (1, None))
    assert mails(server.settings, to="x@example.com") == []


@pytest.mark.any_engine
@pytest.mark.parametrize(("public_url", "told"), [("https://accounts.example.com", 1), ("http://localhost", 0)])
def test_an_operator_is_told_that_mail_reaches_nobody(make_server: MakeServer, public_url: str, told: int) -> None:
    with capture_logs() as lines:
        make_server(public_url=public_url, directory_visibility="self")
    assert [line["event"] for line in lines].count("mail_goes_to_files") == told


def test_a_start_loads_nothing_that_only_mail_needs() -> None:
    code = "import sys, ostiary.mail.worker; print({'jinja2', 'babel', 'aiosmtplib'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
