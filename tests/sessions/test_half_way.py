"""An end that is under way: its transaction has been written and not committed when a login or refresh comes.

Who came in between waits for the outcome and is refused by it, on either engine; nobody is judged by what was read
before.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

import asyncpg
import httpx
import pytest

from ostiary.db.types import to_milliseconds
from ostiary.settings import Settings
from tests.people import Person, log_in, refresh, sign_up, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused, session_of, tokens_in
from tests.sessions.beside import rows

MOST_SECONDS = 3.0
"""Less than a server waits for its database."""


@contextmanager
def half_way(settings: Settings, *statements: str) -> Iterator[None]:
    """Write in a transaction that is committed when the block ends."""
    if settings.sqlite_file is not None:
        with closing(sqlite3.connect(settings.sqlite_file, isolation_level=None)) as connection:
            for statement in ("PRAGMA foreign_keys=ON", "BEGIN IMMEDIATE", *statements):
                connection.execute(statement)
            yield
            connection.execute("COMMIT")
        return
    with asyncio.Runner() as runner:
        postgres = runner.run(asyncpg.connect(settings.database_url))
        runner.run(postgres.execute(";".join(("BEGIN", *statements))))
        yield
        runner.run(postgres.execute("COMMIT"))
        runner.run(postgres.close())


class Coming:
    """A request that is sent while something else is under way."""

    def __init__(self, call: Callable[[], httpx.Response]) -> None:
        self._answers: list[httpx.Response] = []
        self._thread = threading.Thread(target=lambda: self._answers.append(call()))
        self._thread.start()

    def let_it_wait(self, settings: Settings) -> None:
        """Return when the request waits for the other, or has been answered, or could have been by now."""
        deadline = time.monotonic() + (MOST_SECONDS if settings.sqlite_file is None else 0.7)
        waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        while self._thread.is_alive() and time.monotonic() < deadline:
            if settings.sqlite_file is None and rows(settings, waiting):
                return
            time.sleep(0.02)

    @property
    def answer(self) -> httpx.Response:
        self._thread.join(60)
        return self._answers[0]


def endings(person: Person, now: int) -> dict[str, list[str]]:
    """What ends a session, each as the statements of one transaction."""
    end = f"UPDATE sessions SET revoked_at = {now}, revoked_because = 'test'"
    user, session = person.id, session_of(person)
    return {
        "logout": [f"{end} WHERE id = '{session}'"],
        "deactivation": [f"UPDATE users SET is_active = FALSE WHERE id = {user}", f"{end} WHERE user_id = {user}"],
        "deletion": [f"DELETE FROM users WHERE id = {user}"],
    }


@pytest.mark.rule("D1", "TK-4", "TK-7")
@pytest.mark.parametrize("ending", ["logout", "deactivation", "deletion"])
@pytest.mark.parametrize("is_retry", [False, True], ids=["live", "retry"])
def test_a_refresh_that_meets_an_end_half_way_is_refused(
    server: Server, client: httpx.Client, ending: str, *, is_retry: bool
) -> None:
    person = signed_in(client)
    _, live = tokens_in(refresh(client, person.refresh_token))
    statements = endings(person, to_milliseconds(server.clock.now()))[ending]
    with half_way(server.settings, *statements):
        coming = Coming(partial(refresh, client, person.refresh_token if is_retry else live))
        coming.let_it_wait(server.settings)
    assert_refused(coming.answer)
    assert_refused(refresh(client, live))
    query = "SELECT revoked_because FROM sessions WHERE user_id = ?"
    assert rows(server.settings, query, person.id) == ([] if ending == "deletion" else [("test",)])


@pytest.mark.rule("D1", "TK-7")
@pytest.mark.parametrize("ending", ["deactivation", "deletion"])
def test_a_login_that_meets_the_end_of_its_user_half_way_is_refused(
    server: Server, client: httpx.Client, ending: str
) -> None:
    person = log_in(client, sign_up(client))
    statements = endings(person, to_milliseconds(server.clock.now()))[ending]
    credentials = {"email": person.email, "password": person.password}
    with half_way(server.settings, *statements):
        coming = Coming(partial(client.post, "/auth/login", json=credentials))
        coming.let_it_wait(server.settings)
    assert_refused(coming.answer)
    live = "SELECT id FROM sessions WHERE user_id = ? AND revoked_at IS NULL"
    assert rows(server.settings, live, person.id) == []
