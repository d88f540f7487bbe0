"""Many at once: one successor for one token, and nothing that works once an end was answered. On every engine."""

from collections.abc import Callable
from functools import partial

import httpx
import pytest
from sqlalchemy import Connection

from ostiary.audit.origin import OPERATOR
from ostiary.context import App
from ostiary.login.deactivation import deactivate_user
from ostiary.sessions.beginning import begin_session
from ostiary.sessions.models import Session
from ostiary.users.accounts import delete_user
from tests.conftest import MakeServer
from tests.people import Person, patiently, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused, at_once, claims_of, session_of, tokens_in, works
from tests.sessions.beside import restarted, rows, why_revoked, write

MANY = 50
ROUNDS = 4


@pytest.mark.rule("D2", "TK-4", "TK-5")
def test_fifty_refreshes_of_one_token_at_once_have_one_successor(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    answers = at_once([partial(refresh, client, person.refresh_token)] * MANY)
    assert len({tokens_in(answer)[1] for answer in answers}) == 1
    _, successor = tokens_in(answers[0])
    assert claims_of(successor)["generation"] == 1
    query = "SELECT generation, revoked_at FROM sessions WHERE id = ?"
    assert rows(server.settings, query, session_of(person)) == [(1, None)]
    assert all(works(client, tokens_in(answer)[0]) for answer in answers)
    tokens_in(refresh(client, successor))
    assert_refused(refresh(client, person.refresh_token))


@pytest.mark.rule("D2", "TK-4")
def test_without_a_window_one_of_fifty_refreshes_succeeds_and_the_family_ends(make_server: MakeServer) -> None:
    server = make_server(refresh_replay_window="0s")
    with server.client() as client:
        person = signed_in(client)
        answers = at_once([partial(refresh, client, person.refresh_token)] * MANY)
        won = [answer for answer in answers if answer.status_code == 200]
        assert len(won) == 1
        for answer in answers:
            if answer is not won[0]:
                assert_refused(answer)
        access, successor = tokens_in(won[0])
        assert_refused(refresh(client, successor))
        assert not works(client, access)
        assert why_revoked(server.settings, session_of(person)) == "refresh_token_replayed"


@pytest.mark.rule("TK-4")
def test_fifty_sessions_refresh_at_once_each_its_own_token(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    tokens = write(server.settings, _begin_sessions, server.app, person.id, MANY)
    answers = at_once([partial(refresh, client, token) for token in tokens])
    successors = [tokens_in(answer)[1] for answer in answers]
    assert [claims_of(token)["sid"] for token in successors] == [claims_of(token)["sid"] for token in tokens]
    assert len({*tokens, *successors}) == 2 * MANY
    for answer in at_once([partial(refresh, client, token) for token in successors]):
        tokens_in(answer)


@pytest.mark.rule("TK-4")
def test_one_bad_token_among_many_at_once_spoils_no_other(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    tokens = write(server.settings, _begin_sessions, server.app, person.id, 20)
    bad = [token[:-8] + "AAAAAAAA" for token in tokens]
    answers = at_once([partial(refresh, client, token) for pair in zip(tokens, bad, strict=True) for token in pair])
    for good, refused in zip(answers[::2], answers[1::2], strict=True):
        tokens_in(good)
        assert_refused(refused)


@pytest.mark.rule("TK-4")
def test_two_servers_give_one_token_one_successor(make_server: MakeServer) -> None:
    """Two nodes on one PostgreSQL; on SQLite a second process that somebody started by mistake."""
    server = make_server()
    second = make_server(like=server)
    with server.client() as client, second.client() as other:
        person = signed_in(client)
        answers = at_once([partial(refresh, each, person.refresh_token) for each in (client, other) for _ in range(12)])
        assert len({tokens_in(answer)[1] for answer in answers}) == 1


def _begin_sessions(connection: Connection, app: App, user_id: int, count: int) -> list[str]:
    """Begin sessions as logins do, without a password hash for each; answer their refresh tokens."""

    def begin() -> Session:
        return begin_session(
            connection,
            user_id,
            tokens=app.tokens,
            lifetimes=app.lifetimes,
            demands=app.demands,
            amr="pwd",
            address="127.0.0.1",
            user_agent="",
            now=app.clock.now(),
        ).session

    return [app.tokens.mint_refresh(begin()) for _ in range(count)]


def _log_out(server: Server, client: httpx.Client, person: Person) -> None:  # noqa: ARG001 - one of several ways
    assert client.post("/auth/logout", headers=person.auth).status_code == 204


def _log_out_everywhere(server: Server, client: httpx.Client, person: Person) -> None:  # noqa: ARG001
    assert client.post("/auth/logout-all", headers=person.auth).status_code == 204


def _deactivate(server: Server, client: httpx.Client, person: Person) -> None:  # noqa: ARG001
    write(server.settings, deactivate_user, person.id, origin=OPERATOR, now=server.clock.now())


def _delete(server: Server, client: httpx.Client, person: Person) -> None:  # noqa: ARG001
    write(server.settings, delete_user, person.id, origin=OPERATOR, now=server.clock.now())


End = Callable[[Server, httpx.Client, Person], None]
ENDINGS: list[End] = [_log_out, _log_out_everywhere, _deactivate, _delete]


@pytest.mark.rule("TK-6", "TK-7")
@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__.strip("_"))
def test_nothing_that_was_refreshed_meanwhile_outlives_the_end(server: Server, client: httpx.Client, end: End) -> None:
    for _ in range(ROUNDS):
        person = signed_in(client)
        answers: list[httpx.Response] = []

        def refresh_often(person: Person = person, answers: list[httpx.Response] = answers) -> None:
            token = person.refresh_token
            for _ in range(6):
                answer = refresh(client, token)
                answers.append(answer)
                if answer.status_code != 200:
                    assert_refused(answer)
                    break
                token = tokens_in(answer)[1]

        calls: list[Callable[[], object]] = [refresh_often, refresh_often, refresh_often]
        calls.append(partial(end, server, client, person))
        at_once(calls)
        for answer in answers:
            if answer.status_code == 200:
                access, successor = tokens_in(answer)
                assert not works(client, access)
                assert_refused(refresh(client, successor))
        assert_refused(refresh(client, person.refresh_token))


@pytest.mark.rule("D1", "TK-6", "TK-7")
@pytest.mark.parametrize("end", [_deactivate, _delete], ids=lambda end: end.__name__.strip("_"))
def test_no_login_outlives_the_end_of_its_user(server: Server, client: httpx.Client, end: End) -> None:
    for _ in range(ROUNDS):
        person = sign_up(client)
        credentials = {"email": person.email, "password": person.password}
        answers: list[httpx.Response] = []

        def try_to_log_in(answers: list[httpx.Response] = answers, credentials: dict[str, str] = credentials) -> None:
            answers.append(patiently(lambda: client.post("/auth/login", json=credentials)))

        calls: list[Callable[[], object]] = [try_to_log_in] * 4
        calls.append(partial(end, server, client, person))
        at_once(calls)
        for answer in answers:
            if answer.status_code == 200:
                access, refresh_token = tokens_in(answer)
                assert not works(client, access)
                assert_refused(refresh(client, refresh_token))
            else:
                assert_refused(answer)
        assert_refused(client.post("/auth/login", json=credentials))


@pytest.mark.rule("TK-5")
def test_two_tabs_that_refresh_at_once_stay_signed_in_for_long(make_server: MakeServer) -> None:
    """Both hold the same token, refresh together, and go on with what they were answered; through a restart, too."""
    server = make_server()
    client = server.client()
    token = signed_in(client).refresh_token
    for turn in range(12):
        answers = at_once([partial(refresh, client, token)] * 2)
        first, second = (tokens_in(answer)[1] for answer in answers)
        assert first == second
        token = first
        server.clock.advance(minutes=14)
        if turn == 6:
            client.close()
            server = restarted(make_server, server)
            client = server.client()
    client.close()


def test_many_callers_at_once_are_each_taken_for_who_they_are(client: httpx.Client) -> None:
    people = [signed_in(client) for _ in range(5)]
    calls = [partial(client.get, f"/users/{person.id}", headers=person.auth) for person in people for _ in range(8)]
    for person, answer in zip([person for person in people for _ in range(8)], at_once(calls), strict=True):
        assert answer.json() == person.user
