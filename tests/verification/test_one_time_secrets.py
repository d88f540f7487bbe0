"""Every secret that is good for one use, in every way that it must not be used (D2, SU-4): generated.

A new one-time secret is one more row in SECRETS.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, update

from ostiary.audit.origin import OPERATOR
from ostiary.credentials.mailed import CHANGE_EMAIL, INVITATION, RESET_PASSWORD, VERIFY_EMAIL
from ostiary.login.deactivation import deactivate_user
from ostiary.login.signup import SETUP_LIFETIME, offer_setup
from ostiary.users.accounts import delete_user, set_active
from ostiary.users.models import users
from tests.conftest import MakeServer
from tests.mails import mail_to
from tests.people import Person, log_in, newcomer, patiently, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import at_once
from tests.sessions.beside import restarted, rows, write
from tests.verification.test_email_change import asked, confirm, other_address
from tests.verification.test_invite import accept, invited, send_invitation
from tests.verification.test_reset import reset, reset_token
from tests.verification.test_verify import INVALID, ask

MANY = 50


@dataclass
class Offer:
    """A live secret, and whose it is: a user, or an address that was invited."""

    token: str
    person: Person | None = None
    address: str = ""


Void = Callable[[Server, httpx.Client, Offer], None]


@dataclass(frozen=True)
class Secret:
    """One kind of one-time secret."""

    name: str
    lifetime: timedelta
    offer: Callable[[Server, httpx.Client], Offer]
    use: Callable[..., httpx.Response]
    """Presents a token; further members go into the body."""
    done: int
    voids: Mapping[str, Void] = field(default_factory=dict)
    """What makes a live one worthless."""


def _setup(server: Server, _client: httpx.Client) -> Offer:
    write(server.settings, _nobody_is_superuser)
    token = write(server.settings, offer_setup, now=server.clock.now())
    assert token is not None
    return Offer(token)


def _nobody_is_superuser(connection: Connection) -> None:
    connection.execute(update(users).values(is_superuser=False))


def _use_setup(client: httpx.Client, token: str, **members: Any) -> httpx.Response:
    return client.post("/setup", json=newcomer(token=token) | members)


def _verification(server: Server, client: httpx.Client) -> Offer:
    person = sign_up(client)
    return Offer(mail_to(server.settings, person.email, "verify_address").token, person)


def _use_verification(client: httpx.Client, token: str, **members: Any) -> httpx.Response:
    return client.post("/auth/verify-email", json={"token": token} | members)


def _reset(server: Server, client: httpx.Client) -> Offer:
    person = sign_up(client)
    return Offer(reset_token(server, client, person), person)


def _use_reset(client: httpx.Client, token: str, **members: Any) -> httpx.Response:
    return client.post(
        "/auth/password/reset", json={"token": token, "new_password": "another-Horse-battery-7"} | members
    )


def _change(server: Server, client: httpx.Client) -> Offer:
    person = signed_in(client)
    return Offer(asked(server, client, person, other_address(person)).token, person)


def _use_change(client: httpx.Client, token: str, **members: Any) -> httpx.Response:
    return client.post("/auth/email/confirm", json={"token": token} | members)


def _invitation(server: Server, _client: httpx.Client) -> Offer:
    mail = invited(server)
    return Offer(mail.token, address=mail.to)


def _deactivate(server: Server, _client: httpx.Client, offer: Offer) -> None:
    write(server.settings, deactivate_user, _owner(offer).id, origin=OPERATOR, now=server.clock.now())


def _deactivate_for_a_while(server: Server, _client: httpx.Client, offer: Offer) -> None:
    write(server.settings, deactivate_user, _owner(offer).id, origin=OPERATOR, now=server.clock.now())
    write(server.settings, set_active, _owner(offer).id, is_active=True, origin=OPERATOR, now=server.clock.now())


def _delete(server: Server, _client: httpx.Client, offer: Offer) -> None:
    write(server.settings, delete_user, _owner(offer).id, origin=OPERATOR, now=server.clock.now())


def _move(server: Server, _client: httpx.Client, offer: Offer) -> None:
    """The address changes, whatever else is done or forgotten then."""
    values = {"email": f"moved-{_owner(offer).email}", "email_key": f"moved-{_owner(offer).email}"}
    write(
        server.settings,
        lambda connection: connection.execute(update(users).where(users.c.id == _owner(offer).id).values(values)),
    )


def _change_address(server: Server, client: httpx.Client, offer: Offer) -> None:
    person = log_in(client, _owner(offer))
    assert confirm(client, asked(server, client, person, f"x{other_address(person)}").token).status_code == 204


def _set_password(server: Server, client: httpx.Client, offer: Offer) -> None:
    assert reset(client, reset_token(server, client, _owner(offer))).status_code == 204


def _change_password(_server: Server, client: httpx.Client, offer: Offer) -> None:
    person = log_in(client, _owner(offer))
    body = {"current_password": person.password, "new_password": "another-Horse-battery-7"}
    assert client.post("/users/me/password", json=body, headers=person.auth).status_code == 204


def _ask_again(server: Server, client: httpx.Client, offer: Offer) -> None:
    ask(client, _owner(offer).email)
    mail_to(server.settings, _owner(offer).email, "verify_address", number=2)


def _forget_again(server: Server, client: httpx.Client, offer: Offer) -> None:
    reset_token(server, client, _owner(offer))


def _wish_again(server: Server, client: httpx.Client, offer: Offer) -> None:
    asked(server, client, _owner(offer), f"x{other_address(_owner(offer))}")


def _invite_again(server: Server, _client: httpx.Client, offer: Offer) -> None:
    send_invitation(server, offer.address)


def _offer_again(server: Server, client: httpx.Client, _offer: Offer) -> None:
    _setup(server, client)


def _make_superuser(server: Server, _client: httpx.Client, _offer: Offer) -> None:
    with server.client() as client:
        person = sign_up(client)
    write(
        server.settings,
        lambda connection: connection.execute(update(users).where(users.c.id == person.id).values(is_superuser=True)),
    )


def _owner(offer: Offer) -> Person:
    assert offer.person is not None
    return offer.person


OF_A_USER: dict[str, Void] = {
    "user deactivated": _deactivate,
    "user deactivated for a while": _deactivate_for_a_while,
    "user deleted": _delete,
    "user at another address": _move,
    "address changed": _change_address,
    "password set": _set_password,
    "password changed": _change_password,
}

SECRETS = [
    Secret(
        "setup",
        SETUP_LIFETIME,
        _setup,
        _use_setup,
        201,
        {"a newer one": _offer_again, "a superuser": _make_superuser},
    ),
    Secret(
        "verification",
        VERIFY_EMAIL.lifetime,
        _verification,
        _use_verification,
        204,
        OF_A_USER | {"a newer one": _ask_again},
    ),
    Secret("reset", RESET_PASSWORD.lifetime, _reset, _use_reset, 204, OF_A_USER | {"a newer one": _forget_again}),
    Secret("change", CHANGE_EMAIL.lifetime, _change, _use_change, 204, OF_A_USER | {"a newer one": _wish_again}),
    Secret("invitation", INVITATION.lifetime, _invitation, accept, 201, {"a newer one": _invite_again}),
]
each_secret = pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret.name)


def is_invalid(answer: httpx.Response) -> bool:
    return answer.status_code == 400 and answer.json() == INVALID


@pytest.mark.rule("D2", "SU-4")
@each_secret
def test_a_second_time_it_is_worth_nothing(server: Server, client: httpx.Client, secret: Secret) -> None:
    token = secret.offer(server, client).token
    assert secret.use(client, token).status_code == secret.done
    assert is_invalid(secret.use(client, token))
    assert is_invalid(secret.use(client, token[:-1]))
    assert is_invalid(secret.use(client, f"{token} "))


@pytest.mark.rule("D2")
@each_secret
def test_of_fifty_at_once_one_succeeds(server: Server, client: httpx.Client, secret: Secret) -> None:
    token = secret.offer(server, client).token
    users_before = rows(server.settings, "SELECT count(*) FROM users")[0][0]
    answers = at_once([partial(patiently, partial(secret.use, client, token))] * MANY)
    assert [answer.status_code for answer in answers].count(secret.done) == 1
    assert sum(map(is_invalid, answers)) == MANY - 1
    users_after = rows(server.settings, "SELECT count(*) FROM users")[0][0]
    assert users_after - users_before == (secret.done == 201), "and has its effect once"


@pytest.mark.rule("D2", "SU-4")
@each_secret
def test_it_serves_no_other_purpose(server: Server, client: httpx.Client, secret: Secret) -> None:
    offer = secret.offer(server, client)
    for other in SECRETS:
        if other is not secret:
            assert is_invalid(other.use(client, offer.token)), other.name
    assert secret.use(client, offer.token).status_code == secret.done, "and is not used up by trying"


@pytest.mark.any_engine
@pytest.mark.rule("SU-4")
@each_secret
def test_nothing_in_the_request_redirects_it(server: Server, client: httpx.Client, secret: Secret) -> None:
    stranger, offer = sign_up(client), secret.offer(server, client)
    before = rows(server.settings, "SELECT * FROM users WHERE id = ?", stranger.id)
    password = rows(server.settings, "SELECT * FROM passwords WHERE user_id = ?", stranger.id)
    members = {"user_id": stranger.id, "id": stranger.id, "sub": str(stranger.id), "user": stranger.user}
    if secret.name != "setup":  # whose body names an address
        members |= {"email": stranger.email, "new_email": stranger.email}
    assert secret.use(client, offer.token, **members).status_code == secret.done
    assert rows(server.settings, "SELECT * FROM users WHERE id = ?", stranger.id) == before
    assert rows(server.settings, "SELECT * FROM passwords WHERE user_id = ?", stranger.id) == password


@pytest.mark.any_engine
@pytest.mark.rule("D1", "D2", "SU-4", "TK-7")
@pytest.mark.parametrize(
    ("secret", "void"),
    [
        pytest.param(secret, void, id=f"{secret.name}: {name}")
        for secret in SECRETS
        for name, void in secret.voids.items()
    ],
)
def test_what_voids_it_voids_it(server: Server, client: httpx.Client, secret: Secret, void: Void) -> None:
    offer = secret.offer(server, client)
    void(server, client, offer)
    assert is_invalid(secret.use(client, offer.token))


@pytest.mark.rule("D2", "SU-4", "FL-1")
def test_each_survives_a_restart_spent_or_not_and_ends_with_its_lifetime(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        live = {secret.name: secret.offer(server, client).token for secret in SECRETS[1:]}
        spent = {secret.name: secret.offer(server, client).token for secret in SECRETS}
        for secret in SECRETS:
            assert secret.use(client, spent[secret.name]).status_code == secret.done
        live["setup"] = _setup(server, client).token
    server = restarted(make_server, server)
    with server.client() as client:
        for secret in SECRETS:
            assert is_invalid(secret.use(client, spent[secret.name])), secret.name
            assert secret.use(client, live[secret.name]).status_code == secret.done, secret.name
        for secret in SECRETS:
            token = secret.offer(server, client).token
            server.clock.advance(seconds=secret.lifetime.total_seconds() - 1)
            assert secret.use(client, token).status_code == secret.done, secret.name
            token = secret.offer(server, client).token
            server.clock.advance(seconds=secret.lifetime.total_seconds())
            assert is_invalid(secret.use(client, token)), secret.name


@pytest.mark.any_engine
@pytest.mark.rule("SU-4")
def test_none_rests_in_plain(server: Server, client: httpx.Client) -> None:
    tokens = [secret.offer(server, client).token for secret in SECRETS]
    kept = str(rows(server.settings, "SELECT * FROM one_time_tokens"))
    assert kept.count("setup") == 1
    assert not [token for token in tokens if token in kept]
