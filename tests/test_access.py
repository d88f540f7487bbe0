"""Deny by default (AD-2): every endpoint says who may call, and exactly those may."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from ostiary.app import ENDPOINTS
from ostiary.problems import Forbidden, InvalidCredentials
from ostiary.web.access import guarded
from ostiary.web.caller import Caller, put_caller
from ostiary.web.endpoint import Access, Endpoint
from ostiary.web.permissions import PERMISSIONS, Permission
from tests.clock import FakeClock
from tests.people import Person, signed_in
from tests.reference.conformance import DOCUMENT
from tests.roles.acting import superuser
from tests.roles.planted import plant_holder, plant_role
from tests.server import Server
from tests.sessions.answers import assert_refused

PUBLIC = re.compile(
    r"/api/v1/(health|livez|readyz|setup|auth/.+)"
    r"|/livez|/readyz|/\.well-known/.+"
    r"|/(?!api/).+"  # pages
)
"""Where nobody need sign in, beside POST /users."""

OWN = re.compile(r"/api/v1/(auth/.+|users/me(/.+)?|sessions(/.+)?|api-keys(/.+)?)")
"""Where a signed-in caller finds his own affairs, and nothing of anybody else."""

SEEN = {("GET", "/api/v1/users"), ("GET", "/api/v1/users/{user_id}")}
"""Whose rows the rule of who sees whom governs."""

ANSWERS_NOTHING = {202, 204}


def named(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


@pytest.mark.rule("AD-2")
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=named)
def test_every_endpoint_declares_who_may_call_and_what_it_answers(endpoint: Endpoint) -> None:
    """An endpoint that is about others names a permission, or it must be let in here, by hand."""
    if endpoint.permission is not None:
        assert endpoint.permission in PERMISSIONS
        assert endpoint.access is not Access.PUBLIC
    elif endpoint.access is Access.PUBLIC:
        assert PUBLIC.fullmatch(endpoint.path) or named(endpoint) == "POST /api/v1/users"
    else:
        assert OWN.fullmatch(endpoint.path) or (endpoint.method, endpoint.path) in SEEN
    assert endpoint.answer is not None or endpoint.status in ANSWERS_NOTHING or endpoint.media_type == "text/html"


@pytest.mark.rule("AD-2")
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=named)
def test_the_reference_says_which_permission_is_needed(endpoint: Endpoint) -> None:
    operation = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
    scopes = [] if endpoint.permission is None else [endpoint.permission]
    bearers = [] if endpoint.access is Access.PUBLIC else [{"bearer": scopes}]
    keys = [{"api_key": scopes}] if endpoint.takes_api_keys else []
    assert operation["security"] == bearers + keys
    if endpoint.permission is not None:
        assert f"`{endpoint.permission}`" in operation["description"]
        assert "403" in operation["responses"]


async def answer(_request: Request) -> Response:
    return Response(status_code=204)


def ask(endpoint: Endpoint, caller: Caller | None) -> Response:
    """Call an endpoint's handler as routing does."""
    app = SimpleNamespace(state=SimpleNamespace(ostiary=SimpleNamespace(clock=FakeClock())))
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": [], "app": app}
    if caller is not None and endpoint.access is Access.RECENT:
        caller = replace(caller, authenticated_at=app.state.ostiary.clock.now())
    if caller is not None:
        put_caller(scope, caller)

    async def call() -> Response:
        return await guarded(endpoint)(Request(scope))

    return asyncio.run(call())


@pytest.mark.rule("AD-2", "D3")
@pytest.mark.parametrize("access", Access)
@pytest.mark.parametrize("permission", PERMISSIONS)
def test_a_permission_lets_in_those_who_hold_it_and_nobody_else(permission: Permission, access: Access) -> None:
    """Also where somebody declared the endpoint public by mistake."""
    endpoint = Endpoint("GET", "/", answer, access, tag="Users", summary="", permission=permission)
    with pytest.raises(InvalidCredentials):
        ask(endpoint, None)
    others = frozenset(PERMISSIONS) - {permission}
    for held in (frozenset(), others, frozenset({permission.upper(), f"{permission} ", "*"})):
        with pytest.raises(Forbidden):
            ask(endpoint, Caller(1, "session", is_superuser=False, permissions=held))
    assert (
        ask(endpoint, Caller(1, "session", is_superuser=False, permissions=frozenset({permission}))).status_code == 204
    )
    assert ask(endpoint, Caller(1, "session", is_superuser=True)).status_code == 204


class People(NamedTuple):
    """Who asks."""

    server: Server
    client: httpx.Client
    ordinary: Person
    superuser: Person


@pytest.fixture(scope="module")
def people(server: Server) -> Iterator[People]:
    with server.client() as client:
        yield People(server, client, signed_in(client), superuser(server, client))


@pytest.mark.any_engine
@pytest.mark.rule("AD-2", "AD-4")
@pytest.mark.parametrize("endpoint", [each for each in ENDPOINTS if each.permission], ids=named)
def test_who_may_call_what_asks_for_a_permission(people: People, endpoint: Endpoint) -> None:
    """Nobody, somebody, somebody with every other permission, with this one, and a superuser; on whom nobody knows."""
    server, client, ordinary, root = people
    permission = endpoint.permission or ""
    path = re.sub(r"\{\w+_id\}", str(2**40), endpoint.path.removeprefix("/api/v1"))
    path = re.sub(r"\{\w+\}", "nobodys", path)
    others, this = (signed_in(client) for _ in range(2))
    for person, allowed in ((others, {*PERMISSIONS} - {permission}), (this, {permission})):
        plant_role(server, f"only-{person.id}", *allowed)
        plant_holder(server, person.id, f"only-{person.id}")

    def answer_to(person: Person | None) -> httpx.Response:
        return client.request(endpoint.method, path, headers={} if person is None else person.auth)

    assert_refused(answer_to(None))
    for person in (ordinary, others):
        refused = answer_to(person)
        assert (refused.status_code, refused.json()) == (403, {"detail": "Not allowed", "code": "forbidden"})
    for person in (this, root):
        allowed_to = answer_to(person)
        assert allowed_to.status_code not in {401, 405}
        assert allowed_to.status_code != 403 or allowed_to.json()["code"] != "forbidden", allowed_to.text
