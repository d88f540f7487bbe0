"""Load with a ledger: people who act over HTTP, every acknowledged act written down, and the server held to it after.

    with Ledger(lambda: process.url, people=4, seed=7) as ledger:   # they act from here on
        ledger.go_on()            # wait until everybody was served again
        process.kill()
        process.start()
        ledger.go_on()
    found = ledger.check()        # asks the server about all of it; what it asked about is settled then
    assert found.is_clean, found

People sign up, log in, rotate their tokens, take other usernames, log out, and look at themselves. An act without an
answer, or with one of 500 and above, is *unknown*: it may have happened or not, but wholly. After `check` the same
ledger may be entered again, which makes rounds cheap. The server has its request limits off.
"""

import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from tests.ledger.acting import Person
from tests.ledger.asking import Asking
from tests.ledger.book import WEIGHTS, Account, Book
from tests.ledger.findings import Act, Findings

__all__ = ["WEIGHTS", "Act", "Findings", "Ledger"]

MOST_CHECKED_AGAIN = 3
PATIENCE_SECONDS = 90


class Ledger:
    """So many people, and the book they write in."""

    def __init__(
        self,
        where: Callable[[], str],
        *,
        people: int = 4,
        seed: int = 1,
        weights: Mapping[str, int] = WEIGHTS,
        pause_seconds: float = 0.005,
        timeout_seconds: float = 20.0,
        replay_window_seconds: float = 10.0,
        late_seconds: float = 10.0,
    ) -> None:
        """Take where the server is, which is asked before each act; how many act, and how fast.

        The replay window is the server's (`refresh_replay_window`). What had no answer may still come to pass for
        `late_seconds`: 0 where only the server's death leaves anything unanswered.
        """
        self.book = Book(where, seed, weights, pause_seconds, timeout_seconds, replay_window_seconds, late_seconds)
        self.people = [Person(self.book, number) for number in range(people)]
        self.checked: list[Account] = []
        self.book.stopped.set()

    @property
    def found(self) -> Findings:
        """What was found so far."""
        return self.book.found

    @property
    def acts(self) -> list[Act]:
        """Everything that was tried, in order."""
        return self.book.acts

    def __enter__(self) -> Self:
        self.book.open()
        for person in self.people:
            person.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.book.stopped.set()
        for person in self.people:
            person.join(2 * self.book.timeout_seconds + 10)
        self.book.close()

    def go_on(self, *, writes: int = 3, within_seconds: float = PATIENCE_SECONDS) -> float:
        """Wait until everybody has so many more writes acknowledged; answer how long that took."""
        began_at = time.monotonic()
        wanted = [person.writes + writes for person in self.people]
        while any(person.writes < count for person, count in zip(self.people, wanted, strict=True)):
            assert time.monotonic() - began_at < within_seconds, f"people are not served\n{self.found}"
            time.sleep(0.005)
        return time.monotonic() - began_at

    def check(self, where: str | None = None) -> Findings:
        """Ask the server about everything since the last check, and answer all that was ever found.

        Sessions that lived are ended by it: their spent tokens are presented, too.
        """
        assert self.book.stopped.is_set(), "people are still acting"
        again = random.Random(self.book.seed).sample(self.checked, min(MOST_CHECKED_AGAIN, len(self.checked)))
        with ThreadPoolExecutor(4) as pool, self.book.client() as client:
            asking = Asking(self.book, client, where or self.book.where())
            list(pool.map(asking.about_live, [login for person in self.people for login in person.logins]))
            list(pool.map(asking.about_ended, self.book.ended))
            list(pool.map(asking.about_perhaps_ended, self.book.perhaps_ended))
            list(pool.map(asking.about_account, [*self.book.signed_up, *again]))
        self.checked += [account for account in self.book.signed_up if account.is_certain]
        self.book.signed_up, self.book.ended, self.book.perhaps_ended = [], [], []
        for person in self.people:
            person.logins = []
        return self.found
