"""What a ledger asks the server about what is written in it."""

import random
import time
from typing import Any

import httpx

from tests.ledger.acting import credentials, sign_up_body
from tests.ledger.book import Account, Book, Login
from tests.people import bearer

MOST_PRESENTED = 3
"""So many spent tokens of a session are presented again."""
ACCESS_SECONDS = 300
"""Younger access tokens than this are valid by any setting that tests use."""
PATIENCE_SECONDS = 60


class Asking:
    """Asks, and writes down what is not as it was acknowledged."""

    def __init__(self, book: Book, client: httpx.Client, where: str) -> None:
        self._book = book
        self._client = client
        self._where = where

    def about_account(self, account: Account) -> None:
        """An acknowledged sign-up is there; an unknown one is there as a whole or not at all."""
        entered = self._ask("POST", "/auth/login", json=credentials(account))
        if entered.status_code == 200:
            account.is_certain = True
            user = self._ask("GET", "/users/me", headers=bearer(entered.json()["access_token"])).json()
            if user.get("email") != account.email or not account.may_be(user.get("username")):
                self._book.find("lost", f"{account.email} should be {account.username}, is {user}")
        elif account.is_certain:
            self._book.find("lost", f"{account.email} signed up and cannot log in: {entered.text}")
        else:
            answer = self._ask("POST", "/users", json=sign_up_body(account))
            account.is_certain = True
            if answer.status_code != 201:
                self._book.find("half", f"{account.email} can neither log in nor sign up: {answer.text}")

    def about_live(self, login: Login) -> None:
        """A session that nobody ended goes on, and what it spent stays spent."""
        is_late = self._book.is_late(login)
        if time.monotonic() - login.since < ACCESS_SECONDS and not self._is_let_in(login.access):
            self._book.find("unexpected_401s", f"{login.account.email}: access token of a live session")
        answer = self._refresh(login.live)
        if answer.status_code != 200:
            if is_late:
                self._book.found.late_retries += 1
            else:
                self._book.find("unexpected_401s", f"{login.account.email}: live refresh token: {answer.text}")
            return
        spent = [*login.spent, login.live][:-1]  # the last may be presented again: its answer may not have come
        if self._present_again(login, spent) and self._is_let_in(answer.json()["access_token"]):
            self._book.find("revived", f"{login.account.email}: a family goes on after a spent token came back")

    def about_ended(self, login: Login) -> None:
        """A session that was ended stays so."""
        if self._is_let_in(login.access):
            self._book.find("revived", f"{login.account.email}: access token of an ended session")
        if self._refresh(login.live).status_code != 401:
            self._book.find("revived", f"{login.account.email}: refresh token of an ended session")
        self._present_again(login, login.spent)

    def about_perhaps_ended(self, login: Login) -> None:
        """A log-out without an answer ended the session or did not, and not for one token alone."""
        if self._book.is_late(login) or time.monotonic() - login.since >= ACCESS_SECONDS:
            return
        if self._is_let_in(login.access) != (self._refresh(login.live).status_code == 200):
            self._book.find("half", f"{login.account.email}: logged out with one token and not with the other")

    def _present_again(self, login: Login, spent: list[str]) -> bool:
        """Present the newest of spent tokens and some others; answer whether there were any."""
        chosen = spent[-1:] + random.Random(len(spent)).sample(spent[:-1], min(MOST_PRESENTED - 1, len(spent[:-1])))
        for token in chosen:
            if self._refresh(token).status_code != 401:
                self._book.find("revived", f"{login.account.email}: a refresh token that was spent")
        return bool(chosen)

    def _is_let_in(self, access: str) -> bool:
        return self._ask("GET", "/users/me", headers=bearer(access)).status_code == 200

    def _refresh(self, token: str) -> httpx.Response:
        return self._ask("POST", "/auth/refresh", json={"refresh_token": token})

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask again for as long as the server is not itself: only what it says when it is well counts."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = self._client.request(method, f"{self._where}/api/v1{path}", **options)
            except httpx.TransportError:
                assert time.monotonic() < deadline, "the server does not come back"
            else:
                if answer.status_code not in {429, 503}:
                    return answer
                assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)
