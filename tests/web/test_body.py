import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from ostiary.edge.connections import Connections
from ostiary.problems import BodyTooLarge, InvalidInput, Problem, RequestTimeout, UnsupportedMediaType
from ostiary.web.body import MAX_BODY_BYTES, Body, Verbatim, read_json
from ostiary.web.render import json_response, problem_response

JSON = [(b"content-type", b"application/json")]


class Anything(Body):
    """No member at all: what is refused is refused by the reader."""


class SignUp(Body):
    email: str
    username: str = Field(min_length=3, max_length=8)
    age: int = 1
    tags: list[str] = Field(default=[])
    extra: dict[str, Any] = Field(default={})
    nested: "SignUp | None" = None


class Login(Body):
    email: Verbatim
    password: Verbatim


def read(
    *chunks: bytes, headers: list[tuple[bytes, bytes]] = JSON, model: type[Body] = Anything, then: str = "end"
) -> Body:
    """Read a body that arrives in these chunks, and then ends, or the caller goes away, or nothing more comes."""
    left = list(chunks)

    async def receive() -> Message:
        if left:
            body = left.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(left) or then != "end"}
        if then == "gone":
            return {"type": "http.disconnect"}
        await asyncio.sleep(3600)
        raise AssertionError

    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    return asyncio.run(read_json(request, model, timeout_seconds=0.05))


def refusal(*chunks: bytes, **how: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        read(*chunks, **how)
    assert caught.value.detail
    return caught.value


@pytest.mark.rule("IN-1", "IN-2")
@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "empty"),
        (b" ", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a":1}}', "not valid JSON"),
        (b"{'a':1}", "not valid JSON"),
        (b'{"a":1,}', "not valid JSON"),
        (b'{"a":01}', "not valid JSON"),
        (b'{"a":"\x00"}', "not valid JSON"),
        (b'{"a":"\n"}', "not valid JSON"),
        (b'{"a":"\\x41"}', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a":"\xff"}', "UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "UTF-8"),
        (b'{"a":"\xc0\x80"}', "UTF-8"),
        ('{"a":1}'.encode("utf-16"), "UTF-8"),
        ('{"a":1}'.encode("utf-16-le"), "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'"a"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"a":1,"a":1}', "repeats"),
        (b'{"a":1,"\\u0061":1}', "repeats"),
        (b'{"x":[{"a":1,"a":2}]}', "repeats"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "NaN or Infinity"),
        (b'{"a":1e999}', "too large"),
        (b'{"a":-1.0E+999}', "too large"),
        (b'{"a":' + b"1" * 4301 + b"}", "too many digits"),
        (b'{"a":"\\u0000"}', "NUL"),
        (b'{"a\\u0000":1}', "NUL"),
        (b'{"x":[{"y":["\\\\\\u0000"]}]}', "NUL"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, "16 deep"),
        (b'{"a":' + b"[" * 16 + b"]" * 16 + b"}", "16 deep"),
        (b"[" * 60_000, "16 deep"),
        (b'{"a":' * 13_000, "16 deep"),
        (b"[" * 20 + b'"' + b'\\"' * 30_000, "16 deep"),
        (json.dumps({str(i): i for i in range(201)}).encode(), "200 members"),
        (json.dumps({"a": [{"b": {}}] * 200}).encode(), "200 members"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_acceptable_json_object_is_refused(raw: bytes, said: str) -> None:
    problem = refusal(raw)
    assert isinstance(problem, InvalidInput)
    assert said in problem.detail


@pytest.mark.rule("IN-1")
@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b' \r\n\t{"a": 1}\n',
        b'{"a":"\\\\u0000"}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":' + b"1" * 4300 + b"}",
        b'{"a":-' + b"1" * 4300 + b"}",
        b'{"a":1e-999}',
        b'{"a":' * 16 + b"1" + b"}" * 16,
        b'{"a":' + b"[" * 15 + b"]" * 15 + b"}",
        b'{"a":[' + b"[],{}," * 5000 + b"1]}",
        b'{"a":"' + b"[{" * 1000 + b'\\"[[[[[[[[[[[[[[[[[[[["}',
        json.dumps({str(i): "::" for i in range(200)}).encode(),
        b'{"a":"' + b"x" * (MAX_BODY_BYTES - 8) + b'"}',
    ],
    ids=lambda raw: repr(raw)[:30],
)
def test_what_is_unusual_but_allowed_is_read(raw: bytes) -> None:
    assert read(raw) == Anything()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


class Wrapped(Body):
    it: Any


@pytest.mark.rule("IN-2")
@given(json_values)
def test_json_is_read_as_written_or_refused_for_cause(value: Any) -> None:
    text = json.dumps({"it": value})
    try:
        assert read(text.encode(), model=Wrapped) == Wrapped(it=value)
    except InvalidInput as problem:
        assert ("NUL" in problem.detail) == ("\\u0000" in text)  # noqa: PT017 - not always raised
        assert "NUL" in problem.detail or "surrogate" in problem.detail or "deep" in problem.detail  # noqa: PT017


@pytest.mark.rule("IN-2")
@given(
    st.binary(max_size=200)
    | st.text(alphabet='{}[]":,\\u0d8 1e9-\n', max_size=200).map(str.encode)
    | st.text(alphabet="[]{}", min_size=17, max_size=60).map(str.encode)
)
def test_no_bytes_cause_anything_but_a_refusal(raw: bytes) -> None:
    try:
        read(raw, model=SignUp)
    except Problem as problem:
        assert problem.status == 400  # noqa: PT017 - not always raised


@pytest.mark.rule("IN-2")
@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, "email: is required; username: is required"),
        ({"email": 7}, "email: a string is required"),
        ({"email": None}, "email: a string is required"),
        ({"email": "\ud800"}, "email: a string with an unpaired surrogate is not text"),
        ({"username": "\udfff..."}, "username: a string with an unpaired surrogate is not text"),
        ({"username": "x"}, "username: at least 3 characters are required"),
        ({"username": "secretsecret"}, "username: at most 8 characters are allowed"),
        ({"age": "7"}, "age: an integer is required"),
        ({"age": 7.5}, "age: an integer is required"),
        ({"age": True}, "age: an integer is required"),
        ({"tags": "secret"}, "tags: a list is required"),
        ({"tags": ["a", "\ud800"]}, "tags: a string with an unpaired surrogate is not text"),
        ({"extra": {"a": [{"\ud800": 1}]}}, "extra: a string with an unpaired surrogate is not text"),
        ({"tags": [1] * 9}, "tags.4: a string is required; and 4 more"),
        ({"nested": "secret"}, "nested: an object is required"),
        ({"nested": {"email": "\ud800", "username": "name"}}, "nested.email: a string with an unpaired surrogate"),
    ],
)
def test_a_refused_member_is_named_and_its_value_is_not(members: dict[str, object], said: str) -> None:
    valid = {"email": "a@example.com", "username": "name"} if members else {}
    problem = refusal(json.dumps(valid | members).encode(), model=SignUp)
    assert isinstance(problem, InvalidInput)
    assert said in problem.detail
    assert "secret" not in problem.detail


def test_unknown_members_are_ignored_and_pairs_of_surrogates_are_one_character() -> None:
    raw = b'{"username":"me\\ud83d\\ude00","email":"a@b.c","role":"\\ud800","is_superuser":true}'
    assert read(raw, model=SignUp) == SignUp(email="a@b.c", username="me😀")


def test_verbatim_takes_any_string_and_nothing_else() -> None:
    assert read(b'{"email":"\\ud800","password":""}', model=Login) == Login(email="\ud800", password="")
    problem = refusal(b'{"email":["\\ud800"]}', model=Login)
    assert problem.detail == "email: a string is required; password: is required"
    assert Login.model_json_schema()["properties"]["email"]["type"] == "string"


@pytest.mark.rule("HT-4")
@pytest.mark.parametrize(
    "value",
    ["application/json; charset=utf-8", 'Application/JSON ;Charset="UTF-8"', "application/json;charset=utf8;x=y"],
)
def test_json_in_utf8_is_read(value: str) -> None:
    assert read(b"{}", headers=[(b"content-type", value.encode())]) == Anything()


@pytest.mark.rule("HT-4")
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"")],
        [(b"content-type", b"text/plain")],
        [(b"content-type", b"text/json")],
        [(b"content-type", b"application/jsonx")],
        [(b"content-type", b"application/json, text/plain")],
        [(b"content-type", b"application/x-www-form-urlencoded")],
        [(b"content-type", b"multipart/form-data; boundary=x")],
        [(b"content-type", b"application/json; charset=latin-1")],
        [(b"content-type", b"application/json; charset=utf-8; charset=utf-16")],
        [*JSON, *JSON],
        [*JSON, (b"content-encoding", b"gzip")],
        [*JSON, (b"content-encoding", b"identity"), (b"content-encoding", b"br")],
    ],
    ids=repr,
)
def test_what_is_not_declared_as_plain_json_is_415(headers: list[tuple[bytes, bytes]]) -> None:
    assert isinstance(refusal(b"{}", headers=headers), UnsupportedMediaType)


@pytest.mark.rule("IN-1")
@pytest.mark.parametrize(
    "headers",
    [
        [*JSON, (b"content-length", b"65537")],
        [*JSON, (b"content-length", b"9" * 5000)],
        [(b"content-type", b"text/plain"), (b"content-length", b"65537")],
        JSON,
    ],
    ids=["declared", "declared beyond reason", "size before media type", "not declared"],
)
def test_more_than_64_kib_is_413(headers: list[tuple[bytes, bytes]]) -> None:
    assert isinstance(refusal(b"x" * 40_000, b"x" * 25_537, headers=headers), BodyTooLarge)


@pytest.mark.rule("IN-1")
def test_a_body_that_stops_coming_is_408_and_closes_the_connection() -> None:
    problem = refusal(b"{", then="silence")
    assert isinstance(problem, RequestTimeout)
    assert problem.headers == {"Connection": "close"}


def test_a_caller_who_goes_away_is_no_error_of_ours() -> None:
    problem = refusal(b"{", then="gone")
    assert isinstance(problem, InvalidInput)
    assert problem.reason == "the caller went away"


# What follows needs real connections.


async def answer(request: Request) -> Response:
    await read_json(request, Anything, timeout_seconds=0.3)
    return json_response({})


async def refuse(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem_response(problem)


@pytest.fixture(scope="module", params=[Connections().make, "httptools"], ids=["ours", "plain"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    app = Starlette(routes=[Route("/", answer, methods=["POST"])], exception_handlers={Problem: refuse})
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=request.param, lifespan="off", log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def exchange(port: int, *pieces: bytes) -> bytes:
    """Send these bytes and answer all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(65536), b""))


HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.rule("IN-1")
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_client_that_sends_too_much_sees_the_answer_and_may_go_on(port: int, *, declared: bool) -> None:
    body = b'{"a":"' + b"x" * 500_000 + b'"}'
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        for sent, status in ((body, 413), (b"{}", 200)):
            content = sent if declared else iter([sent[:5], sent[5:]])
            connection.request("POST", "/", content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            assert response.status == status
            assert json.load(response) == ({"detail": "Request body too large"} if status == 413 else {})


@pytest.mark.rule("IN-1")
def test_a_client_that_asks_before_it_sends_too_much_is_told_at_once(port: int) -> None:
    got = exchange(port, HEAD + b"Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in got.lower()


@pytest.mark.rule("IN-1")
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HEAD + b"Content-Length: 10\r\n\r\n{", b"408"),
        (HEAD + b"Content-Length: 1000000\r\n\r\n{", b"413"),
        (HEAD.replace(b"json", b"xml") + b"Content-Length: 10\r\n\r\n{", b"415"),
    ],
    ids=["stops", "too long", "not JSON"],
)
def test_a_connection_whose_body_never_comes_is_closed(port: int, head: bytes, status: bytes) -> None:
    got = exchange(port, head)
    assert got.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close" in got.lower()
