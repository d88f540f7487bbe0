"""The limit on guesses holds when they come all at once, and when the server dies over them (D2, LG-3)."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from ostiary.context import App
from ostiary.crypto.passwords import StoredPassword, Verification
from ostiary.crypto.workers import Place
from ostiary.problems import Unavailable
from tests.conftest import MakeServer, NewDatabase, settings_for_tests
from tests.login.inside import attempts_stored, throttle_rows
from tests.login.planted import PlantedProcess
from tests.people import Person, patiently, sign_up
from tests.server import Server
from tests.sessions.waiting import wait_until

WRONG = "wrong-horse-Battery-9"
FAILURES = 10
MANY = 50

Verify = Callable[[str, StoredPassword | None], Verification]


def attempt(server: Server, email: str, password: str, *, is_patient: bool = False) -> int:
    """Try to log in; the patient ask again where a machine that was held up has no room for so many."""
    with server.client() as client:
        post = partial(client.post, "/auth/login", json={"email": email, "password": password})
        return (patiently(post) if is_patient else post()).status_code


@contextmanager
def at_once(server: Server, email: str, *passwords: str, is_patient: bool = False) -> Iterator[list[int]]:
    """Send attempts from a thread each; the answers are there when the block is left."""
    answers: list[int] = []
    with ThreadPoolExecutor(len(passwords)) as pool:
        futures = [pool.submit(attempt, server, email, password, is_patient=is_patient) for password in passwords]
        yield answers
        answers += [future.result() for future in futures]


def planted(plant: Callable[[Verify], Verify]) -> Callable[[App], None]:
    """Put something between a server and its verifying of passwords."""

    def change(app: App) -> None:
        app.hasher._verify = plant(app.hasher._verify)  # type: ignore[method-assign, assignment]

    return change


@pytest.mark.rule("LG-3", "D2")
def test_of_fifty_guesses_at_once_ten_are_verified(make_server: MakeServer) -> None:
    """Ten are held while they are verified; the right password, sent with forty more meanwhile, comes too late."""
    gate = threading.Event()

    def hold(verify: Verify) -> Verify:
        def held(password: str, stored: StoredPassword | None) -> Verification:
            assert gate.wait(60)
            return verify(password, stored)

        return held

    server = make_server(change=planted(hold))
    with server.client() as client:
        person = sign_up(client)
    with ExitStack() as stack:
        stack.callback(gate.set)
        stack.enter_context(at_once(server, person.email, *[WRONG] * FAILURES))
        wait_until(lambda: attempts_stored(server.settings) == [FAILURES])
        late = stack.enter_context(at_once(server, person.email, *[WRONG] * (MANY - FAILURES), person.password))
        gate.set()
    assert 200 not in late
    assert set(late) <= {401, 503}, "503 where holding the ten has left no room for so many"
    [row] = throttle_rows(server.settings)
    assert attempts_stored(server.settings) == [FAILURES]
    assert row.refused >= late.count(401)


@pytest.mark.rule("LG-3", "D2")
def test_guesses_at_once_leave_a_blocked_pair_whatever_their_order(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person = sign_up(client)
        with at_once(server, person.email, *[WRONG] * MANY, is_patient=True) as answers:
            pass
        assert answers == [401] * MANY
        assert attempt(server, person.email, person.password) == 401
        assert attempts_stored(server.settings) == [FAILURES]


@pytest.mark.rule("LG-3")
@pytest.mark.parametrize("times", [12, 30])
def test_many_logins_at_once_with_the_right_password_all_succeed(make_server: MakeServer, times: int) -> None:
    server = make_server()
    with server.client() as client:
        person = sign_up(client)
    with at_once(server, person.email, *[person.password] * times, is_patient=True) as answers:
        pass
    assert answers == [200] * times
    assert attempts_stored(server.settings) == []


@pytest.mark.rule("LG-3", "D2", "FL-6")
def test_an_attempt_whose_verification_breaks_is_counted(make_server: MakeServer) -> None:
    broken = True

    def fail(verify: Verify) -> Verify:
        def failing(password: str, stored: StoredPassword | None) -> Verification:
            if broken:
                raise RuntimeError("planted")
            return verify(password, stored)

        return failing

    server = make_server(change=planted(fail))
    with server.client() as client:
        person = sign_up(client)
    with capture_logs():
        assert [attempt(server, person.email, person.password) for _ in range(FAILURES)] == [500] * FAILURES
    broken = False
    assert attempt(server, person.email, person.password) == 401
    server.clock.advance(minutes=15)
    assert attempt(server, person.email, person.password) == 200


@pytest.mark.rule("LG-3", "D2")
def test_an_attempt_that_the_server_dies_over_is_counted(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory, url = tmp_path_factory.mktemp("planted") / "data", new_database()
    environment = {"OSTIARY_RATE_LIMIT": "off"} | ({"OSTIARY_DATABASE_URL": url} if url else {})
    settings = settings_for_tests(directory, url)
    with PlantedProcess(directory, "hanging", environment=environment) as process, ThreadPoolExecutor(FAILURES) as pool:
        with process.client() as client:
            person = sign_up(client)
        for _ in range(FAILURES):
            pool.submit(try_in_vain, process.client, person)
        wait_until(lambda: attempts_stored(settings) == [FAILURES])
        process.kill()
    with Server(settings) as server:
        assert attempt(server, person.email, person.password) == 401
        server.clock.advance(minutes=15, seconds=1)
        assert attempt(server, person.email, person.password) == 200


def try_in_vain(make_client: Callable[[], httpx.Client], person: Person) -> None:
    with make_client() as client, pytest.raises(httpx.HTTPError):
        client.post("/auth/login", json={"email": person.email, "password": person.password})


@pytest.mark.rule("LG-3", "PW-5")
def test_attempts_that_found_no_room_to_be_verified_block_nobody(make_server: MakeServer) -> None:
    """Whether the queue was full before they were booked, or their places were taken back meanwhile."""
    full_at: str | None = "place"

    def fill(app: App) -> None:
        keep_place, verify = app.hasher.place, app.hasher.verify

        def place() -> AbstractContextManager[Place[Verification]]:
            if full_at == "place":
                raise Unavailable(reason="planted")
            return keep_place()

        async def verify_where_there_is_room(
            password: str, stored: StoredPassword | None, **place: Any
        ) -> Verification:
            if full_at == "verify":
                raise Unavailable(reason="planted")
            return await verify(password, stored, **place)

        app.hasher.place = place  # type: ignore[method-assign]
        app.hasher.verify = verify_where_there_is_room  # type: ignore[method-assign]

    server = make_server(change=fill)
    with server.client() as client:
        person = sign_up(client)
    assert [attempt(server, person.email, WRONG) for _ in range(FAILURES)] == [503] * FAILURES
    assert attempts_stored(server.settings) == []
    full_at = None
    assert [attempt(server, person.email, WRONG) for _ in range(FAILURES - 1)] == [401] * (FAILURES - 1)
    full_at = "verify"
    assert [attempt(server, person.email, WRONG) for _ in range(FAILURES)] == [503] * FAILURES
    full_at = None
    assert attempt(server, person.email, person.password) == 200


@pytest.mark.rule("LG-3")
@pytest.mark.parametrize("rate_limit", ["on", "off"])
def test_request_limits_have_nothing_to_do_with_it(make_server: MakeServer, rate_limit: str) -> None:
    server = make_server(rate_limit=rate_limit)
    with server.client() as client:
        person = sign_up(client)
    assert [attempt(server, person.email, WRONG) for _ in range(FAILURES)] == [401] * FAILURES
    assert attempt(server, person.email, person.password) == 401
