"""Traces tell how a request went, part by part, and nothing of who asked; and whoever takes them cannot hold it up."""

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ostiary.context import App
from ostiary.db import Misconfigured
from ostiary.db.coalescer import Coalescer
from ostiary.edge.pipeline import Edge
from ostiary.tracing.switch import Tracing
from ostiary.users.models import User
from tests.conftest import MakeServer, settings_for_tests
from tests.people import bearer, refresh, sign_up, signed_in
from tests.server import Server
from tests.settings.loading import mistakes_of
from tests.tracing.collecting import Collector, Told
from tests.web.canaries import Canaries

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def flush(server: Server) -> None:
    """Send what waits, as the end of the server does."""
    tracing: Tracing = server.application.state.tracing
    assert tracing._spans is not None
    assert tracing._spans._provider.force_flush(10_000)


def children(collector: Collector, span: Told) -> list[str]:
    return sorted(other.name for other in collector.spans if other.parent == span.id and other.trace == span.trace)


def test_a_request_is_a_span_with_its_parts_below(collector: Collector, make_server: MakeServer) -> None:
    server = make_server(trace_endpoint=collector.url)
    with server.client() as api:
        person = signed_in(api)
        answer = api.get(f"/users/{person.id}", headers=person.auth)
        assert api.get("/health").status_code == 200
    flush(server)
    [login] = collector.named("POST /api/v1/auth/login")
    assert login.parent == ""
    assert login.attributes["http.response.status_code"] == 200
    assert {"verify password", "look_up", "write complete"} <= set(children(collector, login))
    [write] = [span for span in collector.named("write complete") if span.parent == login.id]
    assert write.attributes == {"db.system.name": server.app.db.engine}
    [read] = collector.named("GET /api/v1/users/{user_id}")
    assert read.attributes == {
        "http.request.method": "GET",
        "http.route": "/api/v1/users/{user_id}",
        "http.response.status_code": 200,
        "ostiary.request_id": answer.headers["X-Request-ID"],
    }
    assert children(collector, read) == ["batch callers", "batch users"]
    assert not any("health" in span.name for span in collector.spans), "probes would fill it"
    assert not any(span.parent == "" and span.name.startswith("read") for span in collector.spans), "so would loops"
    assert collector.resources[0]["service.name"] == "ostiary"


@pytest.mark.any_engine
def test_the_trace_of_a_trusted_proxy_goes_on_and_of_nobody_else(collector: Collector, make_server: MakeServer) -> None:
    trusting = make_server(trace_endpoint=collector.url, trusted_proxies="127.0.0.1")
    wary = make_server(trace_endpoint=collector.url)
    for server in (trusting, wary):
        with server.client() as api:
            api.get("/users", headers={"traceparent": GIVEN})
            api.get("/users", headers={"traceparent": "00-nonsense-xx"})
        flush(server)
    spans = collector.named("GET /api/v1/users")
    assert len(spans) == 4
    [joined] = [span for span in spans if span.trace == GIVEN.split("-")[1]]
    assert joined.parent == GIVEN.split("-")[2]
    assert all(span.parent == "" for span in spans if span is not joined)


@pytest.mark.any_engine
@pytest.mark.rule("LA-2")
def test_no_secret_and_nobody_is_in_a_trace(collector: Collector, make_server: MakeServer) -> None:
    canaries = Canaries()
    server = make_server(trace_endpoint=collector.url)
    with server.client() as api:
        person = sign_up(api, password=canaries.password())
        body = {"email": person.email, "password": person.password}
        access, token = canaries.pair(api.post("/auth/login", json=body))
        canaries.pair(refresh(api, token))
        assert api.post("/auth/login", json=body | {"password": canaries.password()}).status_code == 401
        assert api.get("/users", headers=bearer(canaries.token(secrets.token_hex(16)))).status_code == 401
        assert api.get("/nowhere", params={"token": canaries.password()}).status_code == 404
        change = {"current_password": person.password, "new_password": canaries.password()}
        assert api.post("/users/me/password", json=change, headers=bearer(access)).status_code == 204

        async def fail(_: object) -> list[User]:
            raise ValueError(canaries.password())

        server.app.user_reads._ordinary._run = fail  # type: ignore[attr-defined]
        answer = api.get(f"/users/{person.id}", headers=bearer(access))
        assert answer.status_code == 500
    flush(server)
    told = b"".join(collector.raw)
    assert len(collector.spans) > 10
    assert not canaries.are_in(told)
    assert person.email.encode() not in told
    assert person.user["username"].encode() not in told
    assert not any(span.events for span in collector.spans)


@pytest.mark.any_engine
def test_an_error_of_ours_shows_by_its_class_alone(collector: Collector, make_server: MakeServer) -> None:
    async def fail(_: object) -> list[User]:
        raise ValueError("secret")

    server = make_server(trace_endpoint=collector.url)
    server.app.user_reads._ordinary._run = fail  # type: ignore[attr-defined]
    with server.client() as api:
        person = signed_in(api)
        assert api.get(f"/users/{person.id}", headers=person.auth).status_code == 500
    flush(server)
    [span] = collector.named("GET /api/v1/users/{user_id}")
    assert span.is_error
    [batch] = collector.named("batch users")
    assert batch.attributes["error.type"] == "ValueError"


@pytest.mark.any_engine
@pytest.mark.rule("FL-4")
@pytest.mark.parametrize("trouble", ["away", "hangs"])
def test_a_collector_that_takes_nothing_holds_nobody_up(
    collector: Collector, make_server: MakeServer, trouble: str
) -> None:
    collector.hangs_seconds = 30
    url = collector.url if trouble == "hangs" else "http://127.0.0.1:9"
    server = make_server(trace_endpoint=url)
    with server.client() as api:
        person = signed_in(api)
        began = time.monotonic()
        for _ in range(20):
            assert api.get(f"/users/{person.id}", headers=person.auth).status_code == 200
        assert time.monotonic() - began < 10


@pytest.mark.any_engine
def test_a_mail_that_is_delivered_is_a_span(collector: Collector, make_server: MakeServer) -> None:
    server = make_server(trace_endpoint=collector.url)
    with server.client() as api:
        sign_up(api)
        end = time.monotonic() + 20
        while not collector.named("deliver mail"):
            assert time.monotonic() < end
            time.sleep(0.1)
            flush(server)
    [span] = collector.named("deliver mail")
    assert span.attributes == {"ostiary.message": "verify_address"}


@pytest.mark.any_engine
@pytest.mark.rule("LA-4")
def test_without_the_setting_nothing_is_traced_or_even_loaded(make_server: MakeServer) -> None:
    app: App = make_server().app
    assert type(app.callers) is Coalescer
    assert type(make_server().application._edge) is Edge  # type: ignore[attr-defined]
    # FastAPI loads OpenTelemetry's names where they are installed; what makes and sends spans is another package.
    script = "import ostiary.app, ostiary.cli.serve, sys; print('opentelemetry.sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.any_engine
def test_what_cannot_be_meant_is_a_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for options in ({"trace_endpoint": "collector:4318"}, {"trace_percent": 0}, {"trace_percent": 101}):
        assert len(mistakes_of(**options)) == 1
    for name in [name for name in sys.modules if name.startswith(("opentelemetry", "ostiary.tracing.spans"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    settings = settings_for_tests(tmp_path, None, trace_endpoint="http://127.0.0.1:4318")
    with pytest.raises(Misconfigured, match=r"pip install 'ostiary\[otel\]'"):
        Tracing(settings)


@pytest.mark.any_engine
def test_few_of_many_are_traced_where_that_is_asked_for(collector: Collector, make_server: MakeServer) -> None:
    server = make_server(trace_endpoint=collector.url, trace_percent=1)
    with httpx.Client(base_url=f"{server.url}/api/v1", trust_env=False) as api:
        for _ in range(100):
            api.get("/users")
    flush(server)
    assert len(collector.spans) < 20
