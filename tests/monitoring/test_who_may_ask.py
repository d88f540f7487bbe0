"""Metrics are off unless a setting names a place for them, and behind a token only who has it gets them."""

import socket
from pathlib import Path

import httpx
import pytest

from ostiary.settings import Settings
from tests.cli.command import Installation
from tests.conftest import MakeServer, settings_for_tests
from tests.monitoring.scraping import TOKEN, port_of
from tests.people import bearer, signed_in
from tests.server import NO_TLS, Server
from tests.settings.loading import POSTGRESQL, mistakes_of

pytestmark = pytest.mark.any_engine


def ask(url: str, method: str = "GET", **headers: str) -> httpx.Response:
    return httpx.request(method, f"{url}/metrics", headers=headers, trust_env=False, verify=NO_TLS, timeout=30)


@pytest.fixture
def guarded(make_server: MakeServer) -> Server:
    return make_server(metrics_token=TOKEN)


@pytest.mark.rule("HT-6", "SK-5")
def test_beside_the_api_the_token_decides(guarded: Server) -> None:
    with guarded.client() as api:
        person = signed_in(api)
    wrong = [TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "x", person.access_token, "ost_x"]
    answers = [ask(guarded.url)] + [ask(guarded.url, **bearer(token)) for token in wrong]
    answers.append(ask(guarded.url, Authorization=f"Basic {TOKEN}"))
    for answer in answers:
        assert answer.status_code == 401
        assert answer.json() == {"detail": "Invalid authentication credentials"}
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    good = ask(guarded.url, **bearer(TOKEN))
    assert good.status_code == 200
    assert b"ostiary_http_requests_total" in good.content
    assert good.headers["Cache-Control"] == "no-store"
    assert "X-Request-ID" in good.headers
    head = ask(guarded.url, "HEAD", **bearer(TOKEN))
    assert (head.status_code, head.content) == (200, b"")
    assert ask(guarded.url, "POST", **bearer(TOKEN)).status_code == 405


@pytest.mark.rule("RL-1")
def test_asking_for_metrics_counts_against_the_limit_right_token_or_wrong(make_server: MakeServer) -> None:
    server = make_server(metrics_token=TOKEN, rate_limit="on", rate_limit_per_address="6/minute")
    statuses = [ask(server.url, **bearer(token)).status_code for token in (TOKEN, "wrong") * 4]
    assert statuses == [200, 401, 200, 401, 200, 401, 429, 429]


def test_the_token_opens_nothing_else(guarded: Server) -> None:
    with guarded.client() as api:
        assert api.get("/users", headers=bearer(TOKEN)).status_code == 401
        assert api.get("/health", headers=bearer(TOKEN)).status_code == 200


@pytest.mark.rule("HT-6")
def test_on_its_own_port_there_is_nothing_else(make_server: MakeServer) -> None:
    server = make_server(metrics_port=0)
    own = port_of(server)
    assert ask(own).status_code == 200
    assert ask(own, "HEAD").content == b""
    assert ask(own, "POST").status_code == 405
    assert ask(own, "POST").headers["Allow"] == "GET, HEAD"
    assert httpx.get(f"{own}/api/v1/health", trust_env=False, verify=NO_TLS).status_code == 404
    assert httpx.get(f"{own}/metrics/", trust_env=False, verify=NO_TLS).status_code == 404
    assert ask(server.url).status_code == 404
    assert httpx.get(f"{own}/metrics", headers={"X": "x" * 20_000}, trust_env=False, verify=NO_TLS).status_code == 431


def test_the_port_asks_for_the_token_where_there_is_one(make_server: MakeServer) -> None:
    server = make_server(metrics_port=0, metrics_token=TOKEN)
    assert ask(port_of(server)).status_code == 401
    assert ask(port_of(server), **bearer(TOKEN)).status_code == 200
    assert ask(server.url, **bearer(TOKEN)).status_code == 401  # a token that nothing here knows


def test_the_port_is_free_again_afterwards(tmp_path: Path) -> None:
    with Server(settings_for_tests(tmp_path / "data", None, metrics_port=0)) as server:
        port = server.application.state.metrics.port.port
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        place = Installation(tmp_path / "data", environment={"OSTIARY_METRICS_PORT": str(port)})
        refused = place.run("serve", "--port", "0")
    assert refused.code == 3
    assert refused.out == ""
    assert refused.err.splitlines()[-1] == (
        f"ostiary: cannot serve metrics on 127.0.0.1 port {port}: Address already in use; "
        "choose another with OSTIARY_METRICS_PORT or OSTIARY_METRICS_HOST"
    )


def test_what_cannot_be_meant_is_a_mistake() -> None:
    [mistake] = mistakes_of(port=8000, metrics_port=8000)
    assert mistake.message.startswith("is 8000, and the API listens on 8000, which is wanted for metrics too")
    [mistake] = mistakes_of(metrics_token="short")
    assert mistake.variable == "OSTIARY_METRICS_TOKEN"
    assert "short" not in mistake.message.replace("too short", "")


def test_several_workers_have_a_port_each() -> None:
    several: dict[str, object] = {"workers": 3, "database_url": POSTGRESQL}
    [mistake] = mistakes_of(port=8000, metrics_port=7998, **several)
    assert mistake.message.startswith("is 7998, and the API listens on 8000, which is wanted for metrics too")
    [mistake] = mistakes_of(metrics_port=65534, **several)
    assert "there is none after 65535" in mistake.message
    [mistake] = mistakes_of(metrics_token=TOKEN, **several)
    assert "whichever took a request would tell of itself alone" in mistake.message
    assert Settings.load(metrics_port=65533, metrics_token=TOKEN, **several).metrics_port == 65533
