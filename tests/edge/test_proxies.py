"""Ostiary behind the proxies of deploy/proxies: real ones, with TLS, in front of a real server."""

import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import yaml

from tests.conftest import settings_for_tests
from tests.edge.proxies import FILES, HOST, Proxy
from tests.parts.ports import free_port
from tests.parts.smtp import Authority
from tests.server import Server

NAMES = ["nginx", "haproxy", "caddy"]
LIMIT = 30
BACK_SECONDS = 5 * 4
"""Each looks at its servers every two seconds."""

pytestmark = pytest.mark.any_engine


@dataclass
class Fleet:
    proxies: dict[str, Proxy]
    trust: ssl.SSLContext
    while_away: dict[str, httpx.Response] = field(default_factory=dict)
    server: Server = field(init=False)

    def client(self, name: str, *, address: str = "127.0.0.1") -> httpx.Client:
        """A client that calls a proxy by its public name, from an address of this machine."""
        transport = httpx.HTTPTransport(verify=self.trust, local_address=address)
        return httpx.Client(
            transport=transport,
            base_url=f"https://127.0.0.1:{self.proxies[name].tls}",
            headers={"Host": HOST},
            timeout=20,
        )

    def get(self, client: httpx.Client, path: str, **headers: str) -> httpx.Response:
        return client.get(path, headers=headers, extensions={"sni_hostname": HOST})


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """All proxies before one server, which comes only after they have been asked without it."""
    directory = tmp_path_factory.mktemp("proxies")
    authority = Authority(directory)
    authority.for_server(HOST)
    port = free_port()
    settings = settings_for_tests(
        directory / "data",
        None,
        public_url=f"https://{HOST}",
        trusted_proxies="127.0.0.1",
        directory_visibility="self",
        rate_limit="on",
        rate_limit_per_address=f"{LIMIT}/60s",
    )
    with ExitStack() as stack:
        proxies = {}
        for name in NAMES:
            (directory / name).mkdir()
            proxy = Proxy(name, directory / name, certificate=directory / f"{HOST}.pem", backend=port)
            proxies[name] = stack.enter_context(proxy)
        fleet = Fleet(proxies, authority.for_clients())
        for name in NAMES:
            with fleet.client(name) as client:
                fleet.while_away[name] = fleet.get(client, "/api/v1/health")
        fleet.server = stack.enter_context(Server(settings, port=port))
        for name in NAMES:
            wait_until_back(fleet, name)
        yield fleet


def wait_until_back(fleet: Fleet, name: str) -> None:
    deadline = time.monotonic() + BACK_SECONDS
    with fleet.client(name) as client:
        while (answer := fleet.get(client, "/api/v1/health")).status_code != 200:
            assert time.monotonic() < deadline, (name, answer.text, fleet.proxies[name].log)
            time.sleep(0.1)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_server_it_says_so_as_the_api_does(fleet: Fleet, name: str) -> None:
    answer = fleet.while_away[name]
    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json() == {"detail": "Service temporarily unavailable"}
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.rule("HT-1")
@pytest.mark.parametrize("name", NAMES)
def test_answers_pass_unchanged(fleet: Fleet, name: str) -> None:
    with fleet.client(name) as client:
        answer = fleet.get(client, "/api/v1/health", **{"X-Request-ID": "chosen-by-the-client"})
    assert answer.json() == {"status": "healthy", "database": "healthy"}
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    for header in ("X-Content-Type-Options", "Content-Security-Policy", "Cache-Control", "X-Request-ID"):
        assert len(answer.headers.get_list(header)) == 1
    # The proxy's own, in whatever form it makes them.
    assert re.fullmatch("[0-9a-f]{32}|[0-9a-f-]{36}", answer.headers["X-Request-ID"].lower())


@pytest.mark.parametrize("name", NAMES)
def test_it_speaks_http_2_to_clients(fleet: Fleet, name: str) -> None:
    context = fleet.trust
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with (
            socket.create_connection(("127.0.0.1", fleet.proxies[name].tls), timeout=10) as connection,
            context.wrap_socket(connection, server_hostname=HOST) as wrapped,
        ):
            assert wrapped.selected_alpn_protocol() == "h2"
            assert wrapped.version() in {"TLSv1.2", "TLSv1.3"}
    finally:
        context.set_alpn_protocols(["http/1.1"])


@pytest.mark.parametrize("name", NAMES)
def test_plain_http_leads_to_https(fleet: Fleet, name: str) -> None:
    answer = httpx.get(f"http://127.0.0.1:{fleet.proxies[name].plain}/api/v1/users?skip=1", headers={"Host": HOST})
    assert answer.status_code == 308
    location = httpx.URL(answer.headers["Location"])
    assert (location.scheme, location.host, location.raw_path) == ("https", HOST, b"/api/v1/users?skip=1")


@pytest.mark.rule("RL-2")
@pytest.mark.parametrize("name", NAMES)
def test_a_client_counts_under_its_own_address_whatever_it_says(fleet: Fleet, name: str) -> None:
    ours, other = (f"127.0.{10 + NAMES.index(name)}.{last}" for last in (1, 2))
    with fleet.client(name, address=ours) as client:
        answers = []
        for number in range(LIMIT + 1):
            forged = {"X-Forwarded-For": f"203.0.113.{number}, 127.0.0.1", "Forwarded": f"for=203.0.113.{number}"}
            answers.append(fleet.get(client, "/api/v1/nowhere", **forged))
    assert [answer.status_code for answer in answers] == [404] * LIMIT + [429]
    assert answers[-1].json() == {"detail": "Rate limit exceeded"}
    with fleet.client(name, address=other) as client:
        for forged in ({}, {"X-Forwarded-For": ours}, {"X-Forwarded-For": "127.0.0.1"}):
            assert fleet.get(client, "/api/v1/nowhere", **forged).status_code == 404


@pytest.mark.rule("IN-1")
@pytest.mark.parametrize("name", NAMES)
def test_what_is_too_large_is_refused_as_the_api_does(fleet: Fleet, name: str) -> None:
    login = "/api/v1/auth/login"
    with fleet.client(name, address="127.0.1.1") as client:
        for size, status in ((3500, 404), (4500, 431)):
            headers = {f"X-{number}": "a" * size for number in range(4)}
            answer = fleet.get(client, "/api/v1/nowhere", **headers)
            assert answer.status_code == status, (size, answer.text)
            assert answer.headers["Content-Type"] == "application/json"
        for size in (60_000, 70_000, 2_000_000):
            content = json.dumps({"email": "a@example.com", "password": "x" * size}).encode()
            kind = {"Content-Type": "application/json"}
            answer = client.post(login, content=content, headers=kind, extensions={"sni_hostname": HOST})
            assert answer.status_code == (401 if size == 60_000 else 413), (size, answer.text)
            assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("name", NAMES)
def test_metrics_are_not_for_the_public(fleet: Fleet, name: str) -> None:
    with fleet.client(name, address="127.0.1.2") as client:
        answer = fleet.get(client, "/metrics")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Resource not found"})


@pytest.mark.parametrize("name", NAMES)
def test_requests_share_connections_to_the_server(fleet: Fleet, name: str) -> None:
    before = len(fleet.server._uvicorn.server_state.connections)
    for _ in range(20):
        with fleet.client(name) as client:
            assert fleet.get(client, "/api/v1/health").status_code == 200
    assert len(fleet.server._uvicorn.server_state.connections) - before <= 3


def test_the_files_for_traefik_fit_together() -> None:
    """There is no Traefik to be had as a package, so this looks at them only."""
    [static, dynamic] = [yaml.safe_load((FILES / name).read_text()) for name in ("traefik.yml", "traefik-ostiary.yml")]
    http = dynamic["http"]
    for router in http["routers"].values():
        assert set(router["entryPoints"]) <= set(static["entryPoints"])
        assert set(router["middlewares"]) <= set(http["middlewares"])
        balancer = http["services"][router["service"]]["loadBalancer"]
        assert balancer["serversTransport"] in http["serversTransports"]
        assert balancer["healthCheck"]["path"] == "/readyz"
    assert Path(static["providers"]["file"]["filename"]).name == "ostiary.yml"
    assert "forwardedHeaders" not in json.dumps(static)
