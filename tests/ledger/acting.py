"""The people of a ledger: each on a thread of his own, in an order that the seed decides."""

import random
import threading
import time
from typing import Any

import httpx

from tests.ledger.book import WRITES, Account, Book, Login
from tests.ledger.findings import SERVER_ERROR, Act
from tests.people import PASSWORD, bearer

MOST_SESSIONS = 3
AFTER_FAILURE_SECONDS = 0.05


def credentials(account: Account) -> dict[str, str]:
    return {"email": account.email, "password": PASSWORD}


def sign_up_body(account: Account) -> dict[str, str]:
    return credentials(account) | {"username": account.username}


class Person:
    """One who acts, and knows what he was told."""

    def __init__(self, book: Book, number: int) -> None:
        self.writes = 0
        self.account: Account | None = None
        self.logins: list[Login] = []
        self._book = book
        self._number = number
        self._choices = random.Random(f"{book.seed}-{number}")
        self._names = 0
        self._client: httpx.Client | None = None
        self._thread = threading.Thread()
        self._failure: BaseException | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._act, daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "somebody still waits for an answer"
        if self._failure is not None:
            raise self._failure

    def _act(self) -> None:
        names, weights = list(self._book.weights), list(self._book.weights.values())
        try:
            with self._book.client() as self._client:
                while not self._book.stopped.is_set():
                    [what] = self._choices.choices(names, weights)
                    if self.account is None:
                        what = "sign_up"
                    elif not self.logins:
                        what = "log_in"
                    served = getattr(self, f"_{what}")()
                    self._book.stopped.wait(self._book.pause_seconds if served else AFTER_FAILURE_SECONDS)
        except BaseException as failure:  # noqa: BLE001 - raised again by `join`
            self._failure = failure

    def _name(self) -> str:
        self._names += 1
        return f"ledger-{self._book.seed}-{self._number}-{self._names}"

    def _ask(
        self, what: str, method: str, path: str, *, before: str = "", after: str = "", **options: Any
    ) -> tuple[httpx.Response | None, bool]:
        """Act, and write it down. The answer, or None for none; and whether the act may have happened without one."""
        assert self._client is not None
        began_at = time.monotonic()
        answer, may_have_happened = None, True
        try:
            answer = self._client.request(method, f"{self._book.where()}/api/v1{path}", **options)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            may_have_happened = False
        except httpx.TransportError:
            pass
        status = None if answer is None else answer.status_code
        act = Act(
            len(self._book.acts),
            "-" if self.account is None else self.account.email,
            what,
            before,
            after,
            began_at,
            time.monotonic() - began_at,
            status,
        )
        self._book.note(act)
        if status is not None and status >= SERVER_ERROR:
            return None, True
        if what in WRITES and act.is_success:
            self.writes += 1
        return answer, may_have_happened

    def _sign_up(self) -> bool:
        name = self._name()
        account = Account(f"{name}@example.com", name)
        answer, may_have_happened = self._ask(
            "sign_up", "POST", "/users", after=account.email, json=sign_up_body(account)
        )
        if answer is None:
            if may_have_happened:
                self._book.signed_up.append(account)
            return False
        if answer.status_code == 201:
            account.is_certain = True
            self._book.signed_up.append(account)
            self.account = account
            return True
        return self._refused(answer, account.email)

    def _log_in(self) -> bool:
        account = self.account
        assert account is not None
        if len(self.logins) >= MOST_SESSIONS:
            return self._log_out()
        answer, _ = self._ask("log_in", "POST", "/auth/login", json=credentials(account))
        if answer is None:
            return False
        if answer.status_code == 200:
            tokens = answer.json()
            self.logins.append(Login(account, tokens["access_token"], tokens["refresh_token"], time.monotonic()))
            return True
        return self._refused(answer, account.email)

    def _read(self) -> bool:
        login = self._choices.choice(self.logins)
        answer, _ = self._ask("read", "GET", "/users/me", headers=bearer(login.access))
        if answer is None:
            return False
        if answer.status_code != 200:
            return self._refused(answer, login.account.email, login)
        if not login.account.may_be(answer.json()["username"]):
            name = answer.json()["username"]
            self._book.find("lost", f"{login.account.email} is called {name}, not {login.account.username}")
            login.account.username = name
        return True

    def _rename(self) -> bool:
        login, name = self._choices.choice(self.logins), self._name()
        account, began_at = login.account, time.monotonic()
        answer, may_have_happened = self._ask(
            "rename",
            "PATCH",
            "/users/me",
            before=account.username,
            after=name,
            json={"username": name},
            headers=bearer(login.access),
        )
        if answer is None:
            if may_have_happened:
                account.maybe[name] = time.monotonic()
            return False
        if answer.status_code == 200:
            account.username = name
            late = self._book.late_seconds
            account.maybe = {other: at for other, at in account.maybe.items() if began_at - at < late}
            return True
        return self._refused(answer, account.email, login)

    def _rotate(self) -> bool:
        login = self._choices.choice(self.logins)
        began_at = time.monotonic()
        answer, may_have_happened = self._ask("rotate", "POST", "/auth/refresh", json={"refresh_token": login.live})
        if answer is None:
            if may_have_happened and login.unsure_since is None:
                login.unsure_since = began_at
            return False
        if answer.status_code == 200:
            login.spent.append(login.live)
            login.access, login.live = answer.json()["access_token"], answer.json()["refresh_token"]
            login.since, login.unsure_since = time.monotonic(), None
            return True
        if answer.status_code == 401 and self._book.is_late(login):
            self._book.found.late_retries += 1
            self.logins.remove(login)
            return False
        return self._refused(answer, login.account.email, login)

    def _log_out(self) -> bool:
        login = self._choices.choice(self.logins)
        answer, may_have_happened = self._ask("log_out", "POST", "/auth/logout", headers=bearer(login.access))
        if answer is None:
            if may_have_happened:
                self.logins.remove(login)
                self._book.perhaps_ended.append(login)
            return False
        if answer.status_code == 204:
            self.logins.remove(login)
            self._book.ended.append(login)
            return True
        return self._refused(answer, login.account.email, login)

    def _refused(self, answer: httpx.Response, who: str, login: Login | None = None) -> bool:
        """Take an answer that is no success; only being asked to wait is one that anybody could expect."""
        if answer.status_code == 429:
            return False
        kind = "unexpected_401s" if answer.status_code == 401 else "strange"
        self._book.find(
            kind, f"{who}: {answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
        )
        if login in self.logins:
            self.logins.remove(login)
        return False
