"""The one secret: another one is refused, and a changed one keeps everybody signed in."""

import asyncio
from typing import Any

import pytest

from ostiary.app import build, start, stop
from ostiary.db import Misconfigured
from ostiary.settings import Settings
from tests.conftest import MakeServer, settings_for_tests
from tests.people import bearer, log_in, refresh, signed_in
from tests.server import Server
from tests.sessions.answers import tokens_in
from tests.sessions.beside import rows

ONE, TWO = "Yk3vN8qLr2Zt7Xw1Bf5Hc9Md4Js6Pg0Q", "u7Gd2Rk9Vb4Tn1Lx8Wz3Cm6Fh5Ys0JqE"


def open_with(like: Server, **options: Any) -> None:
    """Start and stop on a server's data with other settings; raises what a start does."""
    settings: Settings = settings_for_tests(like.settings.data_dir, like.settings.database_url, **options)

    async def run() -> None:
        app = build(settings)
        try:
            await start(app)
        finally:
            await stop(app)

    asyncio.run(run())


@pytest.mark.rule("SK-2", "SK-3")
def test_a_server_with_another_secret_refuses_to_start(make_server: MakeServer) -> None:
    server = make_server(secret_key=ONE)
    server.__exit__()
    with pytest.raises(Misconfigured, match=r"another secret key.*OSTIARY_SECRET_KEY_PREVIOUS") as refusal:
        open_with(server, secret_key=TWO)
    assert "\n" not in str(refusal.value)
    open_with(server, secret_key=ONE)


@pytest.mark.rule("SK-3")
def test_a_changed_secret_keeps_sessions_and_keys_and_seals_anew(make_server: MakeServer) -> None:
    first = make_server(secret_key=ONE)
    with first.client() as client:
        person = signed_in(client)
        access, spent = tokens_in(refresh(client, person.refresh_token))
    before = rows(first.settings, "SELECT kid, sealed_private_jwk FROM signing_keys")
    first.__exit__()

    second = make_server(like=first, secret_key=TWO, secret_key_previous=ONE)
    after = rows(second.settings, "SELECT kid, sealed_private_jwk FROM signing_keys")
    assert [kid for kid, _ in before] == [kid for kid, _ in after]
    assert before != after
    with second.client() as client:
        assert client.get(f"/users/{person.id}", headers=bearer(access)).status_code == 200
        _, newest = tokens_in(refresh(client, spent))
        assert tokens_in(refresh(client, spent))[1] == newest
    second.__exit__()

    third = make_server(like=first, secret_key=TWO)
    with third.client() as client:
        assert refresh(client, newest).status_code == 200
        assert log_in(client, person).access_token


@pytest.mark.rule("TK-5")
def test_a_retry_across_a_change_of_the_secret_gets_the_same_successor(make_server: MakeServer) -> None:
    first = make_server(secret_key=ONE)
    with first.client() as client:
        person = signed_in(client)
        _, successor = tokens_in(refresh(client, person.refresh_token))
    first.__exit__()
    second = make_server(like=first, secret_key=TWO, secret_key_previous=ONE, change=None)
    second.clock.step(seconds=(first.clock.now() - second.clock.now()).total_seconds())
    with second.client() as client:
        assert tokens_in(refresh(client, person.refresh_token))[1] == successor
