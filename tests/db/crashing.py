"""Clients that write without pause and keep a record of what was acknowledged, for tests that crash what they write to.

Each client is one thread. It never stops by itself at a failure: a crash is a failure to it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from tests.people import Person, newcomer, refresh

PAUSE_SECONDS = 0.05


class Served(Protocol):
    """A server that may come and go."""

    def client(self, **options: Any) -> httpx.Client: ...


@dataclass
class Chain:
    """One session, as its client knows it."""

    person: Person
    live: str
    """The newest refresh token that was received."""
    is_certain: bool = True
    """False: `live` was presented and no answer came; it may have been spent."""
    spent: list[str] = field(default_factory=list)
    """Tokens whose successor was received."""


@dataclass
class Record:
    """What the clients saw."""

    chains: list[Chain]
    signed_up: list[Person] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """Every answer that was no success."""
    unanswered: int = 0

    @property
    def rotations(self) -> int:
        return sum(len(chain.spent) for chain in self.chains)


class Clients:
    """Threads that sign people up and refresh sessions until told to stop."""

    def __init__(self, served: Served, people: list[Person], *, sign_ups: int, retries: bool) -> None:
        self.record = Record([Chain(person, person.refresh_token) for person in people])
        self._served = served
        self._retries = retries
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._sign_up, daemon=True) for _ in range(sign_ups)]
        self._threads += [
            threading.Thread(target=self._refresh, args=(chain,), daemon=True) for chain in self.record.chains
        ]

    def __enter__(self) -> Record:
        for thread in self._threads:
            thread.start()
        return self.record

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _repeat(self, step: Callable[[httpx.Client], bool]) -> None:
        """Call the step until it says that it is done, or all are told to stop."""
        with self._served.client() as client:
            while not self._stop.is_set():
                try:
                    if step(client):
                        return
                except httpx.TransportError:
                    with self._lock:
                        self.record.unanswered += 1
                    time.sleep(PAUSE_SECONDS)

    def _sign_up(self) -> None:
        def step(client: httpx.Client) -> bool:
            body = newcomer()
            answer = client.post("/users", json=body)
            with self._lock:
                if answer.status_code == 201:
                    self.record.signed_up.append(Person(answer.json(), body["password"]))
                    return False
                self.record.statuses.append(answer.status_code)
            time.sleep(PAUSE_SECONDS)
            return False

        self._repeat(step)

    def _refresh(self, chain: Chain) -> None:
        def step(client: httpx.Client) -> bool:
            """Present the live token; without a good answer nobody knows whether it still is."""
            chain.is_certain = False
            try:
                answer = refresh(client, chain.live)
            except httpx.TransportError:
                if self._retries:
                    raise
                return True
            if answer.status_code != 200:
                with self._lock:
                    self.record.statuses.append(answer.status_code)
                time.sleep(PAUSE_SECONDS)
                return not self._retries
            chain.spent.append(chain.live)
            chain.live, chain.is_certain = answer.json()["refresh_token"], True
            return False

        self._repeat(step)


@contextmanager
def busy(served: Served, people: list[Person], *, sign_ups: int = 4, retries: bool = False) -> Iterator[Record]:
    """Let clients write while the block runs; each of the people refreshes his session again and again.

    Without an answer a client gives its session up, or where it `retries`, presents the same token again.
    """
    with Clients(served, people, sign_ups=sign_ups, retries=retries) as record:
        yield record
