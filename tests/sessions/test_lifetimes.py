"""How long sessions and tokens live, to the moment; and what settings made stricter do to older sessions."""

from datetime import datetime, timedelta

import httpx
import pytest
from sqlalchemy import Connection

from ostiary.context import App
from ostiary.sessions.beginning import MAX_SESSIONS_PER_USER, begin_session
from tests.conftest import MakeServer
from tests.people import bearer, log_in, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused, claims_of, session_of, tokens_in, works
from tests.sessions.beside import restarted, rows, why_revoked, write
from tests.sessions.waiting import wait_until

DAY = 86_400


@pytest.mark.rule("TK-2", "TK-3")
def test_an_access_token_ends_exactly_when_it_says(moving_server: Server) -> None:
    with moving_server.client() as client:
        person = signed_in(client)
        claims = claims_of(person.access_token)
        assert claims["exp"] - claims["iat"] == 15 * 60
        assert claims["iat"] == int(moving_server.clock.now().timestamp())
        moving_server.clock.advance(minutes=14, seconds=59.999)
        assert works(client, person.access_token)
        moving_server.clock.advance(seconds=0.001)
        assert not works(client, person.access_token)
        moving_server.clock.advance(seconds=1)
        assert not works(client, person.access_token)


@pytest.mark.rule("TK-2")
def test_tokens_made_within_a_second_end_with_the_whole_second_that_they_name(moving_server: Server) -> None:
    """`exp` has whole seconds and is strict: never later than it says, though the session was begun later."""
    with moving_server.client() as client:
        moving_server.clock.advance(seconds=0.75)
        people = [signed_in(client) for _ in range(2)]
        begun = int(moving_server.clock.now().timestamp())
        assert [claims_of(people[0].access_token)[name] for name in ("iat", "exp")] == [begun, begun + 900]
        assert [claims_of(people[0].refresh_token)[name] for name in ("iat", "exp")] == [begun, begun + 7 * DAY]
        moving_server.clock.advance(minutes=15, seconds=-0.751)
        assert works(client, people[0].access_token)
        moving_server.clock.advance(seconds=0.001)
        assert not works(client, people[0].access_token)
        moving_server.clock.advance(days=7, minutes=-15, seconds=-0.001)
        tokens_in(refresh(client, people[0].refresh_token))
        moving_server.clock.advance(seconds=0.001)
        assert_refused(refresh(client, people[1].refresh_token))


@pytest.mark.rule("TK-3")
def test_a_session_that_is_not_refreshed_ends_exactly_after_its_idle_time(moving_server: Server) -> None:
    with moving_server.client() as client:
        in_time, late = signed_in(client), signed_in(client)
        moving_server.clock.advance(days=6, hours=23, minutes=59, seconds=59.999)
        _, successor = tokens_in(refresh(client, in_time.refresh_token))
        moving_server.clock.advance(seconds=0.001)
        assert_refused(refresh(client, late.refresh_token))
        moving_server.clock.advance(days=6, hours=23)
        tokens_in(refresh(client, successor))


@pytest.mark.rule("TK-3")
def test_a_session_ends_exactly_after_its_absolute_time_however_often_it_is_refreshed(moving_server: Server) -> None:
    with moving_server.client() as client:
        person = signed_in(client)
        ends_at = int(moving_server.clock.now().timestamp()) + 30 * DAY
        token = person.refresh_token
        for _ in range(4):
            moving_server.clock.advance(days=6)
            access, token = tokens_in(refresh(client, token))
            assert claims_of(token)["exp"] <= ends_at
        moving_server.clock.advance(days=5, hours=23, minutes=59, seconds=59.999)
        access, token = tokens_in(refresh(client, token))
        assert claims_of(token)["exp"] == claims_of(access)["exp"] == ends_at
        assert works(client, access)
        moving_server.clock.advance(seconds=0.001)
        assert not works(client, access)
        assert_refused(refresh(client, token))


@pytest.mark.rule("TK-9")
def test_stricter_lifetimes_bind_older_sessions_at_their_next_refresh(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        unused = signed_in(client)
        used = log_in(client, unused)
        server.clock.advance(days=2)
        _, used_token = tokens_in(refresh(client, used.refresh_token))
        young = log_in(client, unused)
    server = restarted(make_server, server, refresh_token_idle="1d", access_token_lifetime="1m")
    with server.client() as client:
        assert_refused(refresh(client, unused.refresh_token))
        access, used_token = tokens_in(refresh(client, used_token))
        assert claims_of(access)["exp"] - claims_of(access)["iat"] == 60
        assert claims_of(used_token)["exp"] - claims_of(used_token)["iat"] == DAY
    server = restarted(make_server, server, refresh_token_idle="1d", refresh_token_lifetime="2d")
    with server.client() as client:
        assert_refused(refresh(client, used_token))
        server.clock.advance(hours=23)
        _, young_token = tokens_in(refresh(client, young.refresh_token))
        server.clock.advance(hours=23)
        _, young_token = tokens_in(refresh(client, young_token))
        assert claims_of(young_token)["exp"] == claims_of(young.refresh_token)["iat"] + 2 * DAY


@pytest.mark.rule("TK-3", "TK-9")
def test_longer_lifetimes_do_not_prolong_older_sessions(make_server: MakeServer) -> None:
    server = make_server(refresh_token_lifetime="2d", refresh_token_idle="2d")
    with server.client() as client:
        person = signed_in(client)
    server = restarted(make_server, server, refresh_token_lifetime="300d", refresh_token_idle="300d")
    with server.client() as client:
        _, token = tokens_in(refresh(client, person.refresh_token))
        assert claims_of(token)["exp"] == claims_of(person.refresh_token)["iat"] + 2 * DAY
        server.clock.advance(days=2)
        assert_refused(refresh(client, token))


@pytest.mark.rule("TK-8")
def test_the_oldest_session_ends_when_a_user_has_more_than_a_hundred(moving_server: Server) -> None:
    server = moving_server
    with server.client() as client:
        oldest = signed_in(client)
        begun = server.clock.now()
        server.clock.advance(seconds=100)
        write(server.settings, _begin_sessions, server.app, oldest.id, MAX_SESSIONS_PER_USER - 2, since=begun)
        second = rows(
            server.settings, "SELECT id FROM sessions WHERE user_id = ? ORDER BY created_at LIMIT 2", oldest.id
        )[1][0]
        newest = log_in(client, oldest)
        assert _live_sessions(server, oldest.id) == MAX_SESSIONS_PER_USER
        assert works(client, oldest.access_token)

        one_more = log_in(client, oldest)
        assert why_revoked(server.settings, session_of(oldest)) == "too_many_sessions"
        assert not works(client, oldest.access_token)
        assert_refused(refresh(client, oldest.refresh_token))
        assert why_revoked(server.settings, second) is None
        assert _live_sessions(server, oldest.id) == MAX_SESSIONS_PER_USER
        assert works(client, newest.access_token)

        server.clock.step(hours=-1)
        by_an_earlier_clock = log_in(client, oldest)
        assert works(client, by_an_earlier_clock.access_token), "a new session is never the one that must go"
        assert _live_sessions(server, oldest.id) == MAX_SESSIONS_PER_USER
        server.clock.step(hours=1)
        assert works(client, one_more.access_token)


@pytest.mark.rule("TK-8")
def test_sessions_of_others_do_not_count(moving_server: Server) -> None:
    server = moving_server
    with server.client() as client:
        person, other = signed_in(client), sign_up(client)
        write(server.settings, _begin_sessions, server.app, other.id, MAX_SESSIONS_PER_USER, since=server.clock.now())
        log_in(client, other)
        assert works(client, person.access_token)


def _begin_sessions(connection: Connection, app: App, user_id: int, count: int, *, since: datetime) -> None:
    """Begin sessions as logins do, one a second, without a password hash for each."""
    for seconds in range(1, count + 1):
        begin_session(
            connection,
            user_id,
            tokens=app.tokens,
            lifetimes=app.lifetimes,
            demands=app.demands,
            amr="pwd",
            address="127.0.0.1",
            user_agent="",
            now=since + timedelta(seconds=seconds),
        )


def _live_sessions(server: Server, user_id: int) -> int:
    query = "SELECT count(*) FROM sessions WHERE user_id = ? AND revoked_at IS NULL"
    return int(rows(server.settings, query, user_id)[0][0])


@pytest.mark.rule("TK-8")
def test_the_last_use_of_a_session_is_kept_to_the_minute(moving_server: Server) -> None:
    server = moving_server
    with server.client() as client:
        early, late = signed_in(client), signed_in(client)
        begun = server.clock.now()
        server.clock.advance(seconds=59)
        _use(client, early.access_token)
        server.clock.advance(seconds=1)
        _use(client, late.access_token)
        wait_until(lambda: _last_use(server, session_of(late)) == begun + timedelta(seconds=60))
        assert _last_use(server, session_of(early)) == begun, "less than a minute is not worth a write"
        _use(client, early.access_token)
        wait_until(lambda: _last_use(server, session_of(early)) == begun + timedelta(seconds=60))


@pytest.mark.rule("TK-8")
def test_uses_that_were_not_written_yet_are_written_when_the_server_stops(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        people = [signed_in(client) for _ in range(3)]
        server.clock.advance(minutes=2)
        for person in people:
            _use(client, person.access_token)
    server.__exit__()
    for person in people:
        assert _last_use(server, session_of(person)) == server.clock.now()


def _use(client: httpx.Client, access_token: str) -> None:
    assert client.get("/users", headers=bearer(access_token)).status_code == 200


def _last_use(server: Server, session_id: str) -> datetime:
    [(milliseconds,)] = rows(server.settings, "SELECT last_used_at FROM sessions WHERE id = ?", session_id)
    return datetime.fromtimestamp(milliseconds / 1000, server.clock.now().tzinfo)
