"""What answers must look like, and what the tokens in them say."""

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from tests.crypto.tokens import unb64
from tests.people import Person, bearer

T = TypeVar("T")

_OF_EACH_ANSWER = {"date", "x-request-id"}
REFUSED = b'{"detail":"Invalid authentication credentials"}'


def facts(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    """All that a caller can tell two answers apart by, save what differs between any two."""
    headers = [(name, value) for name, value in answer.headers.multi_items() if name not in _OF_EACH_ANSWER]
    return answer.status_code, headers, answer.content


def assert_refused(answer: httpx.Response) -> None:
    """The contract's one 401."""
    assert answer.status_code == 401, answer.text
    assert answer.content == REFUSED
    assert answer.headers.get_list("www-authenticate") == ["Bearer"]
    assert answer.headers["content-type"] == "application/json"


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, whoever signed it."""
    claims: dict[str, Any] = json.loads(unb64(token.split(".")[1]))
    return claims


def header_of(token: str) -> dict[str, Any]:
    """A token's header."""
    header: dict[str, Any] = json.loads(unb64(token.split(".", maxsplit=1)[0]))
    return header


def session_of(person: Person) -> str:
    """The id of the session that somebody's tokens belong to."""
    return str(claims_of(person.access_token)["sid"])


def tokens_in(answer: httpx.Response) -> tuple[str, str]:
    """The access and the refresh token of a successful login or refresh."""
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"], answer.json()["refresh_token"]


def works(client: httpx.Client, access_token: str) -> bool:
    """Whether the API takes an access token; if not, it must be the contract's 401."""
    answer = client.get("/users", headers=bearer(access_token))
    if answer.status_code == 200:
        return True
    assert_refused(answer)
    return False


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make calls from as many threads, all let go at the same moment; answer their results in order."""
    gate = threading.Barrier(len(calls))

    def call(each: Callable[[], T]) -> T:
        gate.wait(60)
        return each()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))
