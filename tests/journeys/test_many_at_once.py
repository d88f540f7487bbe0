"""Many people at once, as after an announcement: everybody is served, nobody twice; through HTTP on every engine.

When more password hashes wait than two seconds' worth, a server answers 503 and says when to come back; clients here
do come back, so that what is asserted holds on slow machines too.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from ostiary.context import App
from ostiary.db import Unreachable
from ostiary.login.signup import offer_setup
from tests.conftest import MakeServer
from tests.people import Person, bearer, log_in, newcomer, patiently, refresh
from tests.server import Server
from tests.sessions.answers import at_once, tokens_in
from tests.sessions.beside import rows, write

MANY = 50


class Seen:
    """Keeps the database's refusals, which to a client look like a full server."""

    def __init__(self) -> None:
        self.unreachable: list[Unreachable] = []

    def plant(self, app: App) -> None:
        write = app.db.write

        async def watched(flow: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            try:
                return await write(flow, *args, **kwargs)
            except Unreachable as problem:
                self.unreachable.append(problem)
                raise

        app.db.write = watched  # type: ignore[method-assign]


def post_all(client: httpx.Client, path: str, bodies: list[dict[str, Any]]) -> list[httpx.Response]:
    return at_once([partial(patiently, partial(client.post, path, json=body)) for body in bodies])


def refusals(answers: list[httpx.Response]) -> Counter[tuple[int, str | None]]:
    return Counter((answer.status_code, answer.json().get("code")) for answer in answers)


def count(server: Server, query: str, *values: Any) -> int:
    return int(rows(server.settings, f"SELECT count(*) FROM {query}", *values)[0][0])


@pytest.mark.rule("ST-1", "SU-1")
def test_fifty_people_who_sign_up_log_in_and_refresh_at_once_all_succeed(server: Server, client: httpx.Client) -> None:
    bodies = [newcomer() for _ in range(MANY)]
    people = post_all(client, "/users", bodies)
    assert refusals(people) == {(201, None): MANY}
    assert [answer.json()["email"] for answer in people] == [body["email"] for body in bodies]
    assert len({answer.json()["id"] for answer in people}) == MANY
    stored = count(server, "users JOIN passwords ON user_id = id WHERE username LIKE 'user-%'")
    assert stored >= MANY, "every acknowledged sign-up is there whole"
    ids = {answer.json()["id"] for answer in people}

    credentials = [{"email": body["email"], "password": body["password"]} for body in bodies[:10]]
    logins = [tokens_in(answer) for answer in post_all(client, "/auth/login", credentials)]
    refreshed = [tokens_in(each) for each in at_once([partial(refresh, client, token) for _, token in logins])]
    for person, (access, _) in zip(people, refreshed, strict=False):
        answer = client.get(f"/users/{person.json()['id']}", headers=bearer(access))
        assert answer.json() == person.json()
        assert answer.json()["id"] in ids


@pytest.mark.rule("D2", "SU-1")
@pytest.mark.parametrize(("member", "code"), [("email", "email_taken"), ("username", "username_taken")])
def test_of_fifty_sign_ups_for_one_name_at_once_one_succeeds(make_server: MakeServer, member: str, code: str) -> None:
    """In whatever spelling: 25 in capitals. Hashing is quick, so that they really meet at the database."""
    seen = Seen()
    server = make_server(change=seen.plant)
    wanted = newcomer()[member]
    bodies = [newcomer(**{member: wanted.upper() if number % 2 else wanted}) for number in range(MANY)]
    with server.client() as client:
        answers = post_all(client, "/users", bodies)
        assert refusals(answers) == {(201, None): 1, (400, code): MANY - 1}
        assert not seen.unreachable, "writers in each other's way are no reason to send anybody away"
        assert count(server, f"users WHERE {member}_key = ?", wanted) == 1
        [winner] = [
            Person(answer.json(), body["password"])
            for answer, body in zip(answers, bodies, strict=True)
            if answer.status_code == 201
        ]
        assert log_in(client, winner).user[member].lower() == wanted


@pytest.mark.rule("AD-1", "D2")
def test_of_fifty_uses_of_the_setup_token_at_once_one_succeeds(make_server: MakeServer) -> None:
    seen = Seen()
    server = make_server(change=seen.plant)
    token = write(server.settings, offer_setup, now=server.clock.now())
    with server.client() as client:
        answers = post_all(client, "/setup", [newcomer(token=token) for _ in range(MANY)])
    assert refusals(answers) == {(201, None): 1, (400, "token_invalid"): MANY - 1}
    assert not seen.unreachable, "writers in each other's way are no reason to send anybody away"
    assert rows(server.settings, "SELECT is_superuser FROM users") in ([(True,)], [(1,)])
