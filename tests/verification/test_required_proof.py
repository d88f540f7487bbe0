"""Where the operator asks for proven addresses, nobody acts before he has proven his (`require_verified_email`)."""

import pytest

from ostiary.login.signup import offer_setup
from tests.api_keys.keys import made_key
from tests.conftest import MakeServer
from tests.mails import mail_to
from tests.people import PASSWORD, Person, bearer, log_in, newcomer, refresh, sign_up, signed_in
from tests.sessions.answers import assert_refused, facts
from tests.sessions.beside import restarted, rows, write
from tests.verification.test_invite import accept, invited
from tests.verification.test_reset import NEW, login_status, reset, reset_token
from tests.verification.test_verify import verify

pytestmark = pytest.mark.rule("D1", "LG-1")


def test_nobody_signs_in_before_his_address_is_proven(make_server: MakeServer) -> None:
    server = make_server(require_verified_email="on")
    with server.client() as client:
        person, other = sign_up(client), sign_up(client)
        refused = client.post("/auth/login", json={"email": person.email, "password": PASSWORD})
        assert_refused(refused)
        assert facts(refused) == facts(client.post("/auth/login", json={"email": person.email, "password": "wrong"}))
        assert facts(refused) == facts(client.post("/auth/login", json={"email": "nobody", "password": PASSWORD}))
        assert rows(server.settings, "SELECT count(*) FROM sessions") == [(0,)]
        assert verify(client, mail_to(server.settings, person.email, "verify_address").token).status_code == 204
        assert client.get("/users/me", headers=log_in(client, person).auth).status_code == 200
        assert reset(client, reset_token(server, client, other)).status_code == 204
        assert login_status(client, other, NEW) == 200, "a reset proves the address, too"
        assert log_in(client, Person(accept(client, invited(server).token).json(), PASSWORD)).access_token
        token = write(server.settings, offer_setup, now=server.clock.now())
        first = client.post("/setup", json=newcomer(token=token))
        assert first.status_code == 201
        assert log_in(client, Person(first.json(), PASSWORD)).access_token, "the operator vouches for him"


@pytest.mark.rule("TK-9")
def test_nobody_goes_on_either_once_it_is_asked_for(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person = signed_in(client)
        key = bearer(made_key(client, person)["key"])
        token = mail_to(server.settings, person.email, "verify_address").token
    server = restarted(make_server, server, require_verified_email="on")
    with server.client() as client:
        assert_refused(client.get("/users/me", headers=person.auth))
        assert_refused(client.get(f"/users/{person.id}", headers=key))
        assert_refused(refresh(client, person.refresh_token))
        assert verify(client, token).status_code == 204
        assert client.get("/users/me", headers=person.auth).status_code == 200, "nothing of his has ended"
        assert client.get(f"/users/{person.id}", headers=key).status_code == 200
        assert refresh(client, person.refresh_token).status_code == 200
