"""One gate (D1): every path that issues or accepts a credential, against everything that blocks a user or a session.

The paths that accept an access token come from the table of endpoints, so that a new one is covered by itself.
"""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import httpx
import pytest
from sqlalchemy import Connection, delete, update

from ostiary.api_keys.ending import end_keys
from ostiary.api_keys.models import api_keys
from ostiary.app import ENDPOINTS
from ostiary.audit.origin import OPERATOR
from ostiary.context import App
from ostiary.credentials.models import passwords
from ostiary.crypto.jwk import generate_key
from ostiary.crypto.passwords import StoredPassword, Verification
from ostiary.keys.flows import revoke_key
from ostiary.login.deactivation import deactivate_user
from ostiary.sessions.ending import end_session
from ostiary.sessions.models import sessions
from ostiary.users.accounts import delete_user
from ostiary.users.models import users
from ostiary.web.endpoint import Access, Endpoint
from tests.api_keys.keys import made_key
from tests.conftest import MakeServer
from tests.people import Person, bearer, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused, facts, header_of, session_of, tokens_in
from tests.sessions.beside import rows, write
from tests.sessions.waiting import wait_until


class Path(NamedTuple):
    """One way to present a credential, and what it rests on."""

    name: str
    go: Callable[[httpx.Client, Person], httpx.Response]
    credential: str


class Block(NamedTuple):
    """One state in which nobody may act, and the credentials that it takes the worth from."""

    name: str
    put: Callable[[Server, Person], None]
    credentials: frozenset[str]


def _call(endpoint: Endpoint, credential: str = "access") -> Path:
    def go(client: httpx.Client, person: Person) -> httpx.Response:
        path = endpoint.path.removeprefix("/api/v1").replace("{user_id}", str(person.id))
        url = client.base_url.join(re.sub(r"\{\w+\}", "1", path).lstrip("/"))
        token = person.access_token if credential == "access" else KEYS[person.access_token]
        return client.request(endpoint.method, url, headers=bearer(token))

    with_key = "" if credential == "access" else ", with a key"
    return Path(f"{endpoint.method} {endpoint.path}{with_key}", go, credential)


def _log_in(client: httpx.Client, person: Person) -> httpx.Response:
    return client.post("/auth/login", json={"email": person.email, "password": person.password})


def _authenticate_again(client: httpx.Client, person: Person) -> httpx.Response:
    return client.post("/auth/reauthenticate", headers=person.auth, json={"password": person.password})


def _change_password(client: httpx.Client, person: Person) -> httpx.Response:
    change = {"current_password": person.password, "new_password": "another-horse-Battery-7"}
    return client.post("/users/me/password", headers=person.auth, json=change)


def _refresh_live(client: httpx.Client, person: Person) -> httpx.Response:
    return refresh(client, person.refresh_token)


def _retry(client: httpx.Client, person: Person) -> httpx.Response:
    """With the token before the live one, which the server last saw a moment ago."""
    return refresh(client, SPENT[person.refresh_token])


SPENT: dict[str, str] = {}
"""The token that was spent for each live one."""
KEYS: dict[str, str] = {}
"""An API key of whoever has this access token."""

SIGNED_IN = [endpoint for endpoint in ENDPOINTS if endpoint.access is not Access.PUBLIC]
TAKING_KEYS = [endpoint for endpoint in SIGNED_IN if endpoint.takes_api_keys]
PATHS = [
    Path("login", _log_in, "password"),
    Path("refresh", _refresh_live, "refresh"),
    Path("retry", _retry, "refresh"),
    *map(_call, SIGNED_IN),
    *(_call(endpoint, "key") for endpoint in TAKING_KEYS),
]
ONE_OF_EACH = list({path.credential: path for path in PATHS}.values())


def _deactivate(server: Server, person: Person) -> None:
    write(server.settings, deactivate_user, person.id, origin=OPERATOR, now=server.clock.now())


def _deactivate_and_leave_sessions(server: Server, person: Person) -> None:
    """The gate looks at the user itself, not only at sessions that were ended with him."""
    write(server.settings, _leave_sessions, person.id)


def _delete(server: Server, person: Person) -> None:
    write(server.settings, delete_user, person.id, origin=OPERATOR, now=server.clock.now())


def _remove_password(server: Server, person: Person) -> None:
    write(server.settings, _forget_password, person.id)


def _revoke_session(server: Server, person: Person) -> None:
    write(server.settings, end_session, session_of(person), because="test", now=server.clock.now())


def _end_absolute_lifetime(server: Server, person: Person) -> None:
    """Just now, while the tokens themselves say that they are good for longer."""
    write(server.settings, _change_session, session_of(person), {"expires_at": server.clock.now()})


def _give_session_away(server: Server, person: Person) -> None:
    with server.client() as client:
        other = sign_up(client)
    write(server.settings, _change_session, session_of(person), {"user_id": other.id})


def _remove_session(server: Server, person: Person) -> None:
    write(server.settings, _forget_session, session_of(person))


def _revoke_key(server: Server, person: Person) -> None:
    kid = header_of(person.access_token)["kid"]
    write(
        server.settings,
        revoke_key,
        kid,
        generate_key("ES256"),
        server.app.sealer,
        origin=OPERATOR,
        now=server.clock.now(),
    )
    wait_until(lambda: kid not in server.app.ring.verifiers)


def _leave_sessions(connection: Connection, user_id: int) -> None:
    connection.execute(update(users).where(users.c.id == user_id).values(is_active=False))


def _change_session(connection: Connection, session_id: str, values: dict[str, Any]) -> None:
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(values))


def _forget_session(connection: Connection, session_id: str) -> None:
    connection.execute(delete(sessions).where(sessions.c.id == session_id))


def _forget_password(connection: Connection, user_id: int) -> None:
    connection.execute(delete(passwords).where(passwords.c.user_id == user_id))


def _change_key(values: dict[str, Any]) -> Callable[[Server, Person], None]:
    def put(server: Server, person: Person) -> None:
        write(server.settings, change, person.id)

    def change(connection: Connection, user_id: int) -> None:
        connection.execute(update(api_keys).where(api_keys.c.user_id == user_id).values(values))

    return put


def _expire_key(server: Server, person: Person) -> None:
    _change_key({"expires_at": server.clock.now()})(server, person)


def _give_key_away(server: Server, person: Person) -> None:
    """To somebody who is deactivated: it says nothing for the key that he who had it is not."""
    with server.client() as client:
        other = sign_up(client)
    _deactivate(server, other)
    _change_key({"user_id": other.id})(server, person)


def _end_keys(server: Server, person: Person) -> None:
    write(server.settings, end_keys, person.id)


EVERYTHING = frozenset({"password", "access", "refresh", "key"})
OF_THE_SESSION = frozenset({"access", "refresh"})
OF_THE_KEY = frozenset({"key"})
BLOCKS = [
    Block("nothing", lambda _server, _person: None, frozenset()),
    Block("user deactivated", _deactivate, EVERYTHING),
    Block("user deactivated, sessions left", _deactivate_and_leave_sessions, EVERYTHING),
    Block("user deleted", _delete, EVERYTHING),
    Block("no password", _remove_password, frozenset({"password"})),
    Block("session revoked", _revoke_session, OF_THE_SESSION),
    Block("session past its absolute lifetime", _end_absolute_lifetime, OF_THE_SESSION),
    Block("session of somebody else", _give_session_away, OF_THE_SESSION),
    Block("session gone", _remove_session, OF_THE_SESSION),
    Block("signing key revoked", _revoke_key, frozenset({"access"})),
    Block("API key past its lifetime", _expire_key, OF_THE_KEY),
    Block("API key with another secret", _change_key({"key_hash": b"x" * 32}), OF_THE_KEY),
    Block("API key of somebody deactivated", _give_key_away, OF_THE_KEY),
    Block("API key revoked", _end_keys, OF_THE_KEY),
]


PASSED = {200, 201, 202, 204, 400, 403, 404, 415}
"""What comes after the gate is not at issue: no body, no permission, nothing of that name."""


def _ready(client: httpx.Client) -> Person:
    """Somebody with a live access token, a live refresh token, the one before it, and an API key."""
    person = signed_in(client)
    access, successor = tokens_in(refresh(client, person.refresh_token))
    SPENT[successor] = person.refresh_token
    KEYS[access] = made_key(client, person)["key"]
    return replace(person, access_token=access, refresh_token=successor)


@pytest.mark.rule("D1", "TK-6")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_whoever_is_blocked_gets_nowhere(server: Server, client: httpx.Client, block: Block) -> None:
    person = _ready(client)
    block.put(server, person)
    # Refreshing comes last, since a replay that is refused ends the session, which would hide what comes after.
    for path in sorted(PATHS, key=lambda path: path.credential == "refresh"):
        if path.credential in block.credentials:
            assert_refused(path.go(client, person))
    for path in PATHS if not block.credentials else ONE_OF_EACH:
        if path.credential not in block.credentials:
            person = _ready(client)
            block.put(server, person)
            answer = path.go(client, person)
            assert answer.status_code in PASSED, f"{path.name} must work while {block.name}: {answer.text}"


def test_every_signed_in_endpoint_is_among_the_paths() -> None:
    assert {"GET /api/v1/users", "GET /api/v1/users/{user_id}"} <= {path.name for path in PATHS}
    assert {"POST /api/v1/auth/logout", "POST /api/v1/auth/logout-all"} <= {path.name for path in PATHS}
    assert {"GET /api/v1/users, with a key", "POST /api/v1/api-keys"} <= {path.name for path in PATHS}
    assert len({path.name for path in PATHS}) == len(SIGNED_IN) + len(TAKING_KEYS) + 3


@pytest.mark.rule("D3", "LG-1")
def test_no_refusal_can_be_told_from_another(server: Server, client: httpx.Client) -> None:
    """Whatever the path and whatever the reason: one status, one body, one set of headers."""
    seen = set()
    for block in BLOCKS:
        person = _ready(client)
        block.put(server, person)
        for path in PATHS:
            if path.credential in block.credentials:
                seen.add(str(facts(path.go(client, person))))
    person = signed_in(client)
    for token in ("", "x", "a.b.c", person.access_token, person.refresh_token[:-2]):
        seen.add(str(facts(refresh(client, token))))
    seen.add(str(facts(client.post("/auth/login", json={"email": person.email, "password": "wrong"}))))
    seen.add(str(facts(client.post("/auth/login", json={"email": "nobody", "password": "wrong"}))))
    seen.add(str(facts(client.get("/users"))))
    assert len(seen) == 1, seen


@dataclass
class Pause:
    """Holds up logins between the password's verification and what follows."""

    reached: threading.Event
    go_on: threading.Event

    def plant(self, app: App) -> None:
        verify = app.hasher.verify

        async def paused(password: str, stored: StoredPassword | None, **place: Any) -> Verification:
            verification = await verify(password, stored, **place)
            self.reached.set()
            await asyncio.to_thread(self.go_on.wait, 30)
            return verification

        app.hasher.verify = paused  # type: ignore[method-assign]

    @contextmanager
    def during(
        self, client: httpx.Client, person: Person, call: Callable[[httpx.Client, Person], httpx.Response] = _log_in
    ) -> Iterator[list[httpx.Response]]:
        """Start a login, or another call that verifies a password; the body runs while it is held up.

        Yields a list that then holds its answer.
        """
        self.reached.clear()
        self.go_on.clear()
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(call(client, person)))
        thread.start()
        try:
            assert self.reached.wait(30)
            yield answers
        finally:
            self.go_on.set()
            thread.join()


@pytest.mark.rule("D1", "TK-6", "TK-7")
def test_a_login_asks_the_gate_when_it_completes(make_server: MakeServer) -> None:
    pause = Pause(threading.Event(), threading.Event())
    server = make_server(change=pause.plant)
    with server.client() as client:
        for block in (_deactivate, _deactivate_and_leave_sessions, _delete):
            person = sign_up(client)
            with pause.during(client, person) as answers:
                block(server, person)
            assert_refused(answers[0])
            assert rows(server.settings, "SELECT id FROM sessions WHERE user_id = ?", person.id) == []
        person = sign_up(client)
        with pause.during(client, person) as answers:
            pass
        assert answers[0].status_code == 200, "nobody is blocked who should not be"


@pytest.mark.rule("D1", "TK-6", "TK-7")
@pytest.mark.parametrize("call", ["reauthenticate", "change password"])
def test_what_rests_on_a_password_asks_the_gate_when_it_completes(make_server: MakeServer, call: str) -> None:
    pause = Pause(threading.Event(), threading.Event())
    server = make_server(change=pause.plant)
    pause.go_on.set()
    go = _authenticate_again if call == "reauthenticate" else _change_password
    with server.client() as client:
        for block in (_deactivate, _deactivate_and_leave_sessions, _delete, _revoke_session, _end_absolute_lifetime):
            person = signed_in(client)
            with pause.during(client, person, go) as answers:
                block(server, person)
            assert_refused(answers[0])
        person = signed_in(client)
        with pause.during(client, person, go) as answers:
            pass
        assert answers[0].status_code in {200, 204}, answers[0].text


@pytest.mark.rule("D1", "TK-3")
def test_an_access_token_that_has_run_out_opens_nothing(moving_server: Server) -> None:
    with moving_server.client() as client:
        person = _ready(client)
        moving_server.clock.advance(minutes=15)
        for path in PATHS:
            if path.credential == "access":
                assert_refused(path.go(client, person))
