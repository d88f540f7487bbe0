"""Mails about sign-ins from new places."""

import httpx
import pytest

from ostiary.login.places import KNOWN_FOR
from tests.mails import mail_to, mails
from tests.people import sign_up
from tests.server import Server

HOME, NEXT_DOOR, ABROAD = "198.51.100.7", "198.51.100.8", "203.0.113.9"


@pytest.mark.rule("LG-4")
def test_a_sign_in_from_a_network_that_is_not_known_is_told(guarded: Server, outside: httpx.Client) -> None:
    person = sign_up(outside)

    def sign_in(address: str, password: str = person.password) -> int:
        body = {"email": person.email, "password": password}
        return outside.post("/auth/login", json=body, headers={"X-Forwarded-For": address}).status_code

    assert [sign_in(address) for address in (HOME, HOME, NEXT_DOOR)] == [200] * 3
    assert sign_in(ABROAD, "wrong") == 401
    assert sign_in(ABROAD) == 200
    assert sign_in(ABROAD) == 200
    mail = mail_to(guarded.settings, person.email, "new_sign_in").text
    assert ABROAD in mail
    assert HOME not in mail
    guarded.clock.advance(seconds=KNOWN_FOR.total_seconds() - 1)
    assert sign_in(ABROAD) == 200
    assert len(mails(guarded.settings, to=person.email, name="new_sign_in")) == 1
