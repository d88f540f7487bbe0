"""A login has its place in the queue for hashing before it costs the database anything (FL-3, PW-5)."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from ostiary.clock import SystemClock
from ostiary.context import App
from ostiary.crypto.passwords import StoredPassword, Verification
from ostiary.crypto.workers import LONGEST_WAIT_SECONDS, Workers
from ostiary.login.places import Approach
from ostiary.login.throttle import Attempt
from tests.conftest import MakeServer
from tests.login.inside import attempts_stored
from tests.people import Person, sign_up
from tests.server import Server

SECONDS = 30


class Full:
    """A queue with room for one, before one thread; the first login is held there, and later ones before booking."""

    def __init__(self) -> None:
        self.verifying, self.booking = threading.Event(), threading.Event()
        self.may_verify, self.may_book = threading.Event(), threading.Event()

    def plant(self, app: App) -> None:
        verify, book_attempt = app.hasher._verify, app.attempts.book

        def held(password: str, stored: StoredPassword | None) -> Verification:
            self.verifying.set()
            assert self.may_verify.wait(SECONDS)
            return verify(password, stored)

        @asynccontextmanager
        async def held_before(approach: Approach, book: Callable[[], Awaitable[Attempt]]) -> AsyncIterator[Attempt]:
            if self.verifying.is_set():
                self.booking.set()
                assert await asyncio.to_thread(self.may_book.wait, SECONDS)
            async with book_attempt(approach, book) as attempt:
                yield attempt

        app.hasher._verifying.mean_seconds = LONGEST_WAIT_SECONDS
        app.hasher._hashers.close()
        app.hasher._hashers = Workers("held", count=1, lanes=(app.hasher._verifying,), clock=SystemClock())
        app.hasher._verify = held  # type: ignore[method-assign]
        app.attempts.book = held_before  # type: ignore[method-assign]


def log_in(server: Server, person: Person) -> int:
    with server.client() as client:
        body = {"email": person.email, "password": person.password}
        return client.post("/auth/login", json=body).status_code


@pytest.mark.rule("PW-5", "FL-3")
def test_a_login_that_was_let_in_keeps_its_place_while_the_database_works(make_server: MakeServer) -> None:
    full = Full()
    first = make_server()
    with first.client() as client:
        person = sign_up(client)
    server = make_server(like=first, change=full.plant)
    with ThreadPoolExecutor(2) as pool:
        try:
            held = pool.submit(log_in, server, person)
            assert full.verifying.wait(SECONDS)
            let_in = pool.submit(log_in, server, person)
            assert full.booking.wait(SECONDS)
            assert server.app.hasher.waiting == 1
            assert log_in(server, person) == 503
            assert attempts_stored(server.settings) == [1], "what finds no place is not booked"
        finally:
            full.may_book.set()
            full.may_verify.set()
        assert (held.result(), let_in.result()) == (200, 200)
    assert server.app.hasher.waiting == 0
