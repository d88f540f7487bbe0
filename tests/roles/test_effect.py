"""What roles do: at once in our own API, and in access tokens from the next login or refresh on."""

import httpx
import pytest

from ostiary.audit.origin import OPERATOR
from ostiary.users.accounts import set_superuser
from ostiary.web.permissions import PERMISSIONS
from tests.people import bearer, log_in, refresh, sign_up, signed_in
from tests.roles.planted import plant_holder, plant_role, plant_roles, take_role
from tests.server import Server
from tests.sessions.answers import claims_of, tokens_in
from tests.sessions.beside import write


def said(token: str) -> tuple[list[str], str]:
    """What an access token says of its user's roles and rights."""
    claims = claims_of(token)
    return claims["roles"], claims["scope"]


@pytest.fixture(scope="module", autouse=True)
def _roles(server: Server) -> None:
    plant_role(server, "reader", "users:read")
    plant_role(server, "auditor", "audit:read", "users:read")
    plant_role(server, "greeter")


@pytest.mark.rule("TK-9")
def test_roles_reach_access_tokens_at_login_and_at_each_refresh(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    assert said(person.access_token) == ([], "")
    plant_holder(server, person.id, "reader", "auditor", "greeter")
    access, refresh_token = tokens_in(refresh(client, person.refresh_token))
    assert said(access) == (["auditor", "greeter", "reader"], "users:read audit:read")
    assert said(log_in(client, person).access_token) == said(access)
    take_role(server, person.id, "auditor")
    again, _ = tokens_in(refresh(client, person.refresh_token))  # a retry inside the window
    assert said(again) == (["greeter", "reader"], "users:read")
    last, _ = tokens_in(refresh(client, refresh_token))
    assert said(last) == said(again)


@pytest.mark.rule("TK-9")
def test_what_a_superuser_may_is_in_his_token_and_gone_with_it(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    write(server.settings, set_superuser, person.id, is_superuser=True, origin=OPERATOR, now=server.clock.now())
    write(
        server.settings, set_superuser, sign_up(client).id, is_superuser=True, origin=OPERATOR, now=server.clock.now()
    )
    person = log_in(client, person)
    assert said(person.access_token) == ([], " ".join(PERMISSIONS))
    plant_holder(server, person.id, "reader")
    write(server.settings, set_superuser, person.id, is_superuser=False, origin=OPERATOR, now=server.clock.now())
    access, _ = tokens_in(refresh(client, person.refresh_token))
    assert said(access) == (["reader"], "users:read")


@pytest.mark.any_engine
def test_nobody_is_given_what_another_has(server: Server, client: httpx.Client) -> None:
    """Logins and refreshes share statements with others'."""
    people = [signed_in(client) for _ in range(3)]
    plant_holder(server, people[1].id, "auditor")
    for person in people:
        expected = ["auditor"] if person is people[1] else []
        assert said(tokens_in(refresh(client, person.refresh_token))[0])[0] == expected
        assert said(log_in(client, person).access_token)[0] == expected


@pytest.mark.any_engine
@pytest.mark.rule("TK-1")
def test_the_largest_token_is_still_accepted(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    names = [f"{number:02}".translate(str.maketrans("0123456789", "abcdefghij")).ljust(32, "x") for number in range(32)]
    plant_roles(server, names[1:])
    plant_role(server, names[0], *PERMISSIONS)
    plant_holder(server, person.id, *names)
    person = log_in(client, person)
    assert said(person.access_token) == (names, " ".join(PERMISSIONS))
    assert len(person.access_token) < 3072
    access, _ = tokens_in(refresh(client, person.refresh_token))
    assert client.get("/users", headers=bearer(access)).status_code == 200
