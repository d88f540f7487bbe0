"""Where a request begins and ends is never in doubt (RFC 9112 §6.3), and it is no longer than it may be (IN-1)."""

import json

import pytest

from ostiary.edge.protocol import MAX_HEADER_BYTES, MAX_URL_BYTES
from tests.edge.raw import Answer, answers_in, assert_refusal, connected, ended, send, until_closed
from tests.people import PASSWORD, newcomer
from tests.server import Server

GET = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LOGIN = json.dumps({"email": "nobody@example.com", "password": PASSWORD}).encode()
LAST = GET + b"Connection: close\r\n\r\n"
SMUGGLED = b"GET /api/v1/nowhere HTTP/1.1\r\nHost: x\r\n\r\n"

UNCLEAR = {
    "a length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "one length twice": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "a length of hex": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "an empty length": POST + b"Content-Length:\r\n\r\n{}",
    "an endless length": POST + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "another coding": POST + b"Transfer-Encoding: identity\r\n\r\n{}",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding that we do not undo": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two lines": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an empty coding": POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare line feed": b"GET /api/v1/health HTTP/1.1\nHost: x\n\n",
    "a bare line feed in the headers": GET.removesuffix(b"\r\n") + b"\nA: b\r\n\r\n",
    "a bare carriage return": GET.removesuffix(b"\r\n") + b"\rA: b\r\n\r\n",
    "a bare line feed at the end": GET + b"\n" + SMUGGLED,
    "a folded line": GET + b"A: b\r\n c\r\n\r\n",
    "space before the colon": GET + b"Content-Length : 5\r\n\r\n",
    "space before the first header": b"GET /api/v1/health HTTP/1.1\r\n Host: x\r\n\r\n",
    "NUL in a header": GET + b"A: b\0c\r\n\r\n",
    "a control in a header": GET + b"A: b\x01c\r\n\r\n",
    "a header without a name": GET + b": b\r\n\r\n",
    "a line without a colon": GET + b"nonsense\r\n\r\n",
    "no host": b"GET /api/v1/health HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "two hosts in HTTP/1.0": b"GET /api/v1/health HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
    "another version": b"GET /api/v1/health HTTP/1.2\r\nHost: x\r\n\r\n",
    "a later version": b"GET /api/v1/health HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a space in the path": b"GET /api/v1/health /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab in the path": b"GET /api/v1/\thealth HTTP/1.1\r\nHost: x\r\n\r\n",
    "a byte over 127 in the path": b"GET /api/v1/\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown method": b"NONSENSE /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n",
    "a small method": b"get /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 500,
    "garbage": b"\x00\xff\xfe\x80 nonsense\r\n\r\n",
}
BAD_CHUNKS = {
    "a chunk that ends in a bare line feed": b"2\r\n{}\n0\r\n\r\n",
    "a size that ends in a bare line feed": b"2\n{}\r\n0\r\n\r\n",
    "a size with a prefix": b"0x2\r\n{}\r\n0\r\n\r\n",
    "a size with a space": b"2 \r\n{}\r\n0\r\n\r\n",
    "a negative size": b"-2\r\n{}\r\n0\r\n\r\n",
    "a size without end": b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "more than the size": b"2\r\n{}}\r\n0\r\n\r\n",
    "an extension with a bare line feed": b"2;a\n{}\r\n0\r\n\r\n",
    "a length among the trailers": b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n",
}


@pytest.mark.rule("IN-1")
@pytest.mark.parametrize("sent", UNCLEAR.values(), ids=UNCLEAR.keys())
def test_what_is_not_clearly_one_request_is_refused_and_nothing_after_it_read(server: Server, sent: bytes) -> None:
    [answer] = send(server, sent + SMUGGLED)
    assert_refusal(answer, 400, "malformed_request")


@pytest.mark.rule("IN-1")
@pytest.mark.parametrize("sent", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
@pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
def test_what_is_not_clearly_one_body_is_refused_and_nothing_after_it_read(
    server: Server, sent: bytes, *, late: bool
) -> None:
    pieces = [CHUNKED, sent + SMUGGLED] if late else [CHUNKED + sent + SMUGGLED]
    [answer] = send(server, *pieces)
    assert_refusal(answer, 400, "malformed_request")


@pytest.mark.parametrize("path", [b"nowhere", b"health"])
def test_a_bad_body_that_nobody_reads_ends_the_connection_too(server: Server, path: bytes) -> None:
    request = CHUNKED.replace(b"POST /api/v1/auth/login", b"GET /api/v1/" + path)
    with connected(server) as connection:
        connection.sendall(request)
        data = connection.recv(65536)
        connection.sendall(b"zz\r\n" + SMUGGLED)
        [answer] = answers_in(data + ended(connection))
    assert answer.status in {200, 404}


def test_what_came_before_is_answered_first(server: Server) -> None:
    first, second, refusal = send(server, GET + b"\r\n" + SMUGGLED + UNCLEAR["two lengths"] + SMUGGLED)
    assert (first.status, second.status) == (200, 404)
    assert_refusal(refusal, 400, "malformed_request")


def test_what_is_refused_on_a_used_connection_is_refused_alike(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(GET + b"\r\n")
        first, _ = Answer.read_from(connection.recv(65536))
        connection.sendall(UNCLEAR["garbage"])
        [refusal] = answers_in(until_closed(connection))
    assert first.status == 200
    assert_refusal(refusal, 400, "malformed_request")


def header_of(size: int) -> bytes:
    """A header line of that many bytes."""
    return b"X: " + b"a" * (size - 5) + b"\r\n"


@pytest.mark.rule("IN-1")
def test_headers_have_sixteen_kibibytes(server: Server) -> None:
    used = len(LAST) - len(b"GET /api/v1/health HTTP/1.1\r\n\r\n")
    most = LAST.removesuffix(b"\r\n") + header_of(MAX_HEADER_BYTES - used) + b"\r\n"
    assert [answer.status for answer in send(server, most)] == [200]
    pieces = [most[start : start + 1000] for start in range(0, len(most), 1000)]
    assert [answer.status for answer in send(server, *pieces)] == [200]
    for longer in (
        LAST.removesuffix(b"\r\n") + header_of(MAX_HEADER_BYTES - used + 1) + b"\r\n",
        LAST.removesuffix(b"\r\n") + b"A:\r\n" * 5000 + b"\r\n",
    ):
        [answer] = send(server, longer)
        assert_refusal(answer, 431, "headers_too_large")
        [answer] = send(server, *[longer[start : start + 3000] for start in range(0, len(longer), 3000)])
        assert_refusal(answer, 431, "headers_too_large")


@pytest.mark.rule("IN-1")
def test_headers_without_end_are_refused_before_they_end(server: Server) -> None:
    [answer] = send(server, GET + b"X: " + b"a" * 500_000)
    assert_refusal(answer, 431, "headers_too_large")
    first, second, answer = send(server, (GET + b"\r\n") * 2 + GET + b"X: " + b"a" * 60_000)
    assert (first.status, second.status) == (200, 200)
    assert_refusal(answer, 431, "headers_too_large")


@pytest.mark.rule("IN-1")
def test_a_url_has_eight_kibibytes(server: Server) -> None:
    for piece in (1000, 1_000_000):
        for path, status in ((b"/api/v1/nowhere?", 404), (b"/api/v1/health?", 200)):
            longest = path + b"x" * (MAX_URL_BYTES - len(path))
            request = LAST.replace(b"/api/v1/health", longest)
            pieces = [request[start : start + piece] for start in range(0, len(request), piece)]
            assert [answer.status for answer in send(server, *pieces)] == [status]
            pieces[0] = pieces[0].replace(longest[:20], b"/x" + longest[:20])
            [answer] = send(server, *pieces)
            assert_refusal(answer, 414, "uri_too_long")


def test_nothing_but_line_ends_is_no_request(server: Server) -> None:
    assert [answer.status for answer in send(server, b"\r\n\r\n" + LAST)] == [200]
    [answer] = send(server, b"\r\n" * 100_000)
    assert answer.status in {400, 431}


@pytest.mark.rule("IN-1")
@pytest.mark.parametrize(
    "endless",
    [
        b"1;" + b"a" * 100_000,
        b"1;name=value\r\n{\r\n" * 20_000,
        b"0\r\n" + b"X: a\r\n" * 20_000,
        b"0\r\nX: " + b"a" * 100_000,
    ],
    ids=["an extension", "extensions", "trailers", "a trailer"],
)
def test_what_is_around_chunks_has_an_end(server: Server, endless: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(CHUNKED)
        connection.sendall(endless)
        [answer] = answers_in(ended(connection))
    assert answer.status in {400, 413}
    assert answer.headers["connection"] == "close"


def test_small_chunks_and_their_extensions_are_a_body(server: Server) -> None:
    chunks = b"".join(b"1;name=value\r\n%c\r\n" % byte for byte in LOGIN) + b"0\r\n\r\n"
    answers = send(server, CHUNKED + chunks + LAST)
    assert [answer.status for answer in answers] == [401, 200]
    answers = send(server, CHUNKED, *[chunks[start : start + 7] for start in range(0, len(chunks), 7)], LAST)
    assert [answer.status for answer in answers] == [401, 200]


@pytest.mark.rule("RL-2")
def test_trailers_are_no_headers(server: Server) -> None:
    """Neither of the request they end nor of the next."""
    body = json.dumps(newcomer()).encode()
    request = CHUNKED.replace(b"auth/login", b"users").replace(b"POST", b"PUT")
    trailers = b"Authorization: Bearer nonsense\r\nX-Forwarded-For: 192.0.2.1\r\n"
    answers = send(server, request + b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, trailers) + LAST)
    assert [answer.status for answer in answers] == [405, 200]  # 401 would be the trailer's


def test_more_requests_in_one_go_than_anybody_sends_are_not_all_taken(server: Server) -> None:
    """A request takes a hundred times the room of its bytes. What is not answered was not done; clients send again."""
    few = send(server, (GET + b"\r\n") * 50 + LAST)
    assert [answer.status for answer in few] == [200] * 51
    with connected(server) as connection:
        connection.sendall((GET + b"\r\n") * 300)
        answers = answers_in(ended(connection))
    assert 1 <= len(answers) < 300
    assert {answer.status for answer in answers} == {200}


class TestOtherProtocols:
    """A request to go on in another protocol is a request in this one (RFC 9110 §7.8)."""

    @pytest.mark.parametrize("protocol", [b"h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", b"websocket", b"TLS/1.0"])
    @pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
    def test_a_body_stays_a_body(self, server: Server, protocol: bytes, *, late: bool) -> None:
        head = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\n" % protocol
        head += b"Content-Length: %d\r\n\r\n" % len(LOGIN)
        pieces = [head, LOGIN[:9], LOGIN[9:] + LAST] if late else [head + LOGIN + LAST]
        assert [answer.status for answer in send(server, *pieces)] == [401, 200]

    def test_a_body_is_not_taken_for_the_next_request(self, server: Server) -> None:
        head = POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED)
        answers = send(server, head, SMUGGLED + LAST)
        assert [answer.status for answer in answers] == [400, 200]

    def test_a_request_without_a_body_is_answered(self, server: Server) -> None:
        head = GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
        assert [answer.status for answer in send(server, head + head + LAST)] == [200, 200, 200]
        with connected(server) as connection:
            for start in range(0, len(head), 11):
                connection.sendall(head[start : start + 11])
            connection.sendall(LAST)
            assert [answer.status for answer in answers_in(until_closed(connection))] == [200, 200]

    def test_limits_and_doubts_are_the_same(self, server: Server) -> None:
        head = GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
        [answer] = send(server, head + b"Host: y\r\n\r\n")
        assert_refusal(answer, 400, "malformed_request")
        [answer] = send(server, head + header_of(MAX_HEADER_BYTES) + b"\r\n")
        assert_refusal(answer, 431, "headers_too_large")


class TestOldAndCarefulClients:
    def test_http_1_0_works_and_ends(self, server: Server) -> None:
        for host in (b"", b"Host: x\r\n"):
            [answer] = send(server, b"GET /api/v1/health HTTP/1.0\r\n%s\r\n" % host)
            assert (answer.status, answer.headers["connection"]) == (200, "close")

    def test_who_asks_before_sending_is_told_to(self, server: Server) -> None:
        with connected(server) as connection:
            connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(LOGIN))
            assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(LOGIN + LAST)
            assert [answer.status for answer in answers_in(until_closed(connection))] == [401, 200]

    def test_head_has_no_body_even_when_refused(self, server: Server) -> None:
        with connected(server) as connection:
            connection.sendall(b"HEAD /api/v1/%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 9000))
            head, _, body = until_closed(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 414 ")
        assert not body
