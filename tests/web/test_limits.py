"""Request limits through HTTP: exact, told in headers, by address and by user (RL-1, RL-2). The clock stands still."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from ostiary.counters import SlidingWindows
from tests.conftest import settings_for_tests
from tests.people import bearer, log_in, newcomer, signed_in
from tests.server import Server

LIMIT, WINDOW = 5, 10
HOME, AWAY = "192.0.2.1", "198.51.100.2"
EXEMPT = ("/api/v1/health", "/livez", "/readyz")
EXCEEDED = {"detail": "Rate limit exceeded"}


class MakeLimited:
    """Starts servers on SQLite, since no limit of this kind is kept in a database."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __call__(self, **options: str) -> Server:
        defaults = {
            "rate_limit": "on",
            "rate_limit_per_address": f"{LIMIT}/{WINDOW}s",
            "rate_limit_per_user": "1000/hour",
            "trusted_proxies": "127.0.0.1",
        }
        return Server(settings_for_tests(self._directory, None, **defaults | options))


@pytest.fixture
def limited(tmp_path: Path) -> MakeLimited:
    return MakeLimited(tmp_path)


@pytest.fixture
def server(limited: MakeLimited) -> Iterator[Server]:
    with limited() as running:
        yield running


def get(server: Server, path: str = "/users/1", source: str = HOME, **headers: str) -> httpx.Response:
    with server.client(headers={"X-Forwarded-For": source}) as client:
        return client.get(f"{server.url}{path}" if path in EXEMPT else path, headers=headers)


def statuses(server: Server, times: int, source: str = HOME) -> list[int]:
    with server.client(headers={"X-Forwarded-For": source}) as client:
        return [client.get("/users/1").status_code for _ in range(times)]


def told(answer: httpx.Response) -> dict[str, tuple[int, int]]:
    """What RateLimit says of each policy: what remains, and in how many seconds there is more."""
    members = re.findall(r'"(\w+)";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert ", ".join(f'"{name}";r={r};t={t}' for name, r, t in members) == answer.headers["ratelimit"]
    return {name: (int(r), int(t)) for name, r, t in members}


@pytest.mark.in_memory
@pytest.mark.rule("RL-1")
def test_over_the_limit_is_429_until_retry_after_and_then_served(server: Server) -> None:
    assert statuses(server, LIMIT) == [401] * LIMIT
    answer = get(server)
    assert (answer.status_code, answer.json()) == (429, EXCEEDED)
    assert answer.headers["content-type"] == "application/json"
    wait = int(answer.headers["retry-after"])
    assert WINDOW <= wait <= WINDOW + 1
    server.clock.advance(seconds=wait - 1)
    assert get(server).status_code == 429
    server.clock.advance(seconds=1)
    assert statuses(server, LIMIT + 1) == [401] * LIMIT + [429]


@pytest.mark.in_memory
@pytest.mark.rule("RL-1")
def test_no_stretch_of_the_window_serves_more_than_the_limit(server: Server) -> None:
    """Also not across the seam between two windows, where counters that are reset serve twice as many."""
    served: list[float] = []
    for _ in range(4 * WINDOW):
        now = server.clock.monotonic()
        served += [now for status in statuses(server, 2) if status != 429]
        server.clock.advance(seconds=0.7)
    assert all(sum(end - WINDOW <= moment <= end for moment in served) <= LIMIT for end in served)
    seconds = 4 * WINDOW * 0.7
    assert len(served) >= LIMIT * int(seconds / (WINDOW + 1)), "and nobody is refused for much longer than that needs"


@pytest.mark.in_memory
@pytest.mark.rule("RL-1")
def test_refused_requests_do_not_count(server: Server) -> None:
    assert statuses(server, LIMIT * 4).count(401) == LIMIT
    server.clock.advance(seconds=WINDOW + 1)
    assert statuses(server, LIMIT) == [401] * LIMIT


@pytest.mark.rule("RL-1")
def test_every_counted_answer_tells_the_policy_and_what_is_left(server: Server) -> None:
    for left in reversed(range(LIMIT)):
        answer = get(server)
        assert answer.headers["ratelimit-policy"] == f'"address";q={LIMIT};w={WINDOW}'
        [(remaining, seconds)] = told(answer).values()
        assert remaining == left
        assert 1 <= seconds <= WINDOW + 1
    answer = get(server)
    assert told(answer)["address"] == (0, int(answer.headers["retry-after"]))


@pytest.mark.rule("RL-1")
def test_everything_counts_but_probes(server: Server) -> None:
    json = {"Content-Type": "application/json"}
    with server.client(headers={"X-Forwarded-For": HOME}) as client:
        answers = [
            client.get("/nowhere"),
            client.get("/users", headers=bearer("x.y.z")),
            client.post("/auth/login", content=b"{", headers=json),
            client.post("/users", content=b"x", headers={"Content-Type": "text/plain"}),
            client.put("/auth/login"),
        ]
        assert [answer.status_code for answer in answers] == [404, 401, 400, 415, 405]
        assert [told(answer)["address"][0] for answer in answers] == [4, 3, 2, 1, 0]
        assert client.get(f"{server.url}/.well-known/jwks.json").status_code == 429
        for path in EXEMPT * 3:
            answer = client.get(f"{server.url}{path}")
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
            assert "ratelimit-policy" not in answer.headers


@pytest.mark.rule("RL-1")
def test_a_refused_login_or_sign_up_has_no_effect(server: Server) -> None:
    with server.client(headers={"X-Forwarded-For": HOME}) as client:
        assert statuses(server, LIMIT) == [401] * LIMIT
        body = newcomer()
        assert client.post("/users", json=body).json() == EXCEEDED
        login = {"email": body["email"], "password": body["password"]}
        answer = client.post("/auth/login", json=login, headers={"X-Forwarded-For": AWAY})
        assert answer.status_code == 401, "nobody was signed up"


@pytest.mark.rule("RL-1")
def test_the_reference_counts_and_its_static_files_do_not(server: Server) -> None:
    with server.client(headers={"X-Forwarded-For": HOME}) as client:
        page = client.get(f"{server.url}/docs")
        assert told(page)["address"][0] == LIMIT - 1
        files = re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text)
        assert files
        for file in files * LIMIT:
            answer = client.get(f"{server.url}/{file}")
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
        assert told(client.get("/users/1"))["address"][0] == LIMIT - 2


@pytest.mark.rule("RL-1")
def test_the_key_set_counts(server: Server) -> None:
    with server.client(headers={"X-Forwarded-For": HOME}) as client:
        answer = client.get(f"{server.url}/.well-known/jwks.json")
        assert answer.status_code == 200
        assert told(answer)["address"][0] == LIMIT - 1


@pytest.mark.rule("RL-1")
def test_the_limit_per_address_comes_before_the_token(server: Server) -> None:
    assert statuses(server, LIMIT) == [401] * LIMIT
    assert get(server, "/users/1", **bearer("x.y.z")).status_code == 429
    assert get(server, "/nowhere").status_code == 429


@pytest.mark.in_memory
@pytest.mark.rule("RL-1")
def test_a_user_is_limited_over_all_sessions_and_addresses(limited: MakeLimited) -> None:
    with limited(rate_limit_per_address="100/minute", rate_limit_per_user="3/60s") as server, server.client() as client:
        person, other = signed_in(client), signed_in(client)
        second = log_in(client, person)
        path = f"/users/{person.id}"
        answers = [
            get(server, path, HOME, **person.auth),
            get(server, path, AWAY, **second.auth),
            get(server, "/nowhere", "2001:db8::1", **person.auth),
            get(server, path, "203.0.113.9", **second.auth),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 404, 429]
        refused = answers[-1]
        assert refused.json() == EXCEEDED
        assert [told(answer)["user"][0] for answer in answers] == [2, 1, 0, 0]
        assert refused.headers["ratelimit-policy"] == '"address";q=100;w=60, "user";q=3;w=60'
        assert told(refused)["address"][0] == 99, "the address was counted first"
        assert told(refused)["user"][1] == int(refused.headers["retry-after"])
        assert get(server, path, HOME, **other.auth).status_code == 200, "another user is not limited"
        assert get(server, "/users/1", "203.0.113.9").status_code == 401, "nor is somebody without a token"
        server.clock.advance(seconds=int(refused.headers["retry-after"]) - 1)
        assert get(server, path, AWAY, **person.auth).status_code == 429
        server.clock.advance(seconds=1)
        assert get(server, path, AWAY, **person.auth).status_code == 200


@pytest.mark.rule("RL-1")
def test_the_limit_per_user_comes_after_the_token_and_before_path_and_method(limited: MakeLimited) -> None:
    with limited(rate_limit_per_address="100/minute", rate_limit_per_user="1/60s") as server, server.client() as client:
        person = signed_in(client)
        assert client.get("/users/abc", headers=person.auth).status_code == 400
        for method, path in (("GET", "/nowhere"), ("DELETE", "/users/1"), ("GET", "/users/abc"), ("POST", "/users")):
            assert client.request(method, path, headers=person.auth).status_code == 429
        spoiled = bearer(person.access_token[:-4])
        answer = client.get("/nowhere", headers=spoiled)
        assert answer.status_code == 401
        assert list(told(answer)) == ["address"]


@pytest.mark.rule("RL-1")
def test_one_setting_turns_both_limits_off(limited: MakeLimited) -> None:
    with limited(rate_limit="off", rate_limit_per_user="1/60s") as server, server.client() as client:
        person = signed_in(client)
        answers = [client.get("/users/1", headers=person.auth) for _ in range(3 * LIMIT)]
        assert {answer.status_code for answer in answers} == {200}
        assert not any(name.startswith("ratelimit") for answer in answers for name in answer.headers)


@pytest.mark.rule("RL-2")
def test_each_source_has_a_limit_of_its_own(server: Server) -> None:
    assert statuses(server, LIMIT + 1) == [401] * LIMIT + [429]
    assert statuses(server, 1, AWAY) == [401]


@pytest.mark.rule("RL-2")
@pytest.mark.parametrize(
    "same",
    [
        [
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "[::ffff:c000:201]",
            "1.1.1.1\t ,192.0.2.1",
            "192.0.2.1:8080",
            "1.1.1.1, 192.0.2.1",
        ],
        ["2001:db8::1", "2001:DB8:0:0:ffff::2", "[2001:db8::3]", "[2001:db8::4]:443", "x, 2001:db8::5", "2001:db8::6"],
        ["not an address", "", "192.0.2.256", "127.0.0.1", "example.com", "9" * 3000],
        ["203.0.113.5, 127.0.0.1", "203.0.113.5", "6.6.6.6, 203.0.113.5, 127.0.0.1", "garbage, 203.0.113.5"] * 2,
    ],
    ids=["IPv4", "IPv6 /64", "what cannot be read is the peer", "read from the right"],
)
def test_these_are_one_source(server: Server, same: list[str]) -> None:
    assert [get(server, source=source).status_code for source in same[: LIMIT + 1]] == [401] * LIMIT + [429]


@pytest.mark.rule("RL-2")
def test_neighbouring_ipv6_networks_are_two_sources(server: Server) -> None:
    assert statuses(server, LIMIT + 1, "2001:db8:0:1::1")[-1] == 429
    assert statuses(server, 1, "2001:db8:0:2::1") == [401]


@pytest.mark.in_memory
@pytest.mark.rule("RL-2")
def test_nobody_chooses_his_address_unless_a_trusted_proxy_says_so(limited: MakeLimited) -> None:
    for proxies in ("", "192.0.2.0/24"):
        with limited(trusted_proxies=proxies) as server:
            got = [get(server, source=f"203.0.113.{n}", Forwarded=f"for=203.0.113.{n}") for n in range(LIMIT + 1)]
            assert [answer.status_code for answer in got] == [401] * LIMIT + [429]


@pytest.mark.rule("RL-2")
def test_several_forwarding_lines_are_read_as_one(server: Server) -> None:
    got = []
    with server.client() as client:
        for number in range(LIMIT + 1):
            lines = [("X-Forwarded-For", f"203.0.113.{number}"), ("X-Forwarded-For", HOME)]
            got.append(client.get("/users/1", headers=lines).status_code)
    assert got == [401] * LIMIT + [429]


@pytest.mark.in_memory
def test_counters_take_bounded_memory(limited: MakeLimited, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source longest unheard of is forgotten first."""
    monkeypatch.setattr("ostiary.counters.counting.SlidingWindows", partial(SlidingWindows, max_keys=3))
    with limited() as server:
        assert statuses(server, LIMIT + 1)[-1] == 429
        for number in range(3):
            assert statuses(server, 1, f"203.0.113.{number}") == [401]
        assert statuses(server, 1) == [401]
