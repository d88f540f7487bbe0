"""What the metrics tell: of requests, logins, hashing, the database, mail, the audit log, keys and jobs."""

import asyncio
import time
from collections.abc import Callable

import httpx
import pytest

from ostiary.context import App
from ostiary.db import Unreachable
from ostiary.metrics.declared import TOPICS
from ostiary.metrics.requests import NO_ROUTE
from ostiary.monitoring.stock import Stock, take_stock
from ostiary.users.models import User
from tests.conftest import MakeServer
from tests.monitoring.scraping import Scraped, scrape
from tests.people import bearer, log_in, newcomer, refresh, sign_up, signed_in
from tests.server import Server

DECLARED = {metric.name: metric for metrics in TOPICS.values() for metric in metrics}
SQLITE_ONLY = {name for name, metric in DECLARED.items() if "SQLite only" in metric.meaning}
SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"], "summary": ["_count", "_sum"]}


@pytest.fixture
def watched(make_server: MakeServer) -> Server:
    return make_server(metrics_port=0)


def eventually(scraped: Callable[[], Scraped], is_so: Callable[[Scraped], bool]) -> Scraped:
    """Ask until it is so; the clock stands still, so what is asked of the database is asked each time."""
    end = time.monotonic() + 30
    while not is_so(page := scraped()):
        assert time.monotonic() < end, page.text
        time.sleep(0.05)
    return page


def test_every_declared_metric_is_told_and_no_other(watched: Server) -> None:
    with watched.client() as api:
        person = signed_in(api)
        refresh(api, person.refresh_token)
        api.get("/nowhere")
        page = eventually(lambda: later(watched), lambda page: page.has("ostiary_mails_total"))
    told = {sample.name for sample in page.samples}
    expected = set()
    for name, metric in DECLARED.items():
        if watched.app.db.engine == "sqlite" or name not in SQLITE_ONLY:
            expected |= {name + suffix for suffix in SUFFIXES[metric.kind]}
    assert told == expected
    for sample in page.samples:
        base = next(DECLARED[name] for name in (sample.name, *stripped(sample.name)) if name in DECLARED)
        assert set(sample.labels) - {"le"} == set(base.labels)


def stripped(name: str) -> list[str]:
    return [name.removesuffix(suffix) for suffix in ("_bucket", "_count", "_sum")]


def later(server: Server) -> Scraped:
    server.clock.advance(seconds=2)
    return scrape(server)


def test_requests_are_counted_by_route_and_never_by_path(watched: Server) -> None:
    with watched.client() as api:
        person = signed_in(api)
        for _ in range(3):
            assert api.get(f"/users/{person.id}", headers=person.auth).status_code == 200
        assert api.head(f"/users/{person.id}", headers=person.auth).status_code == 200
        assert api.get("/users/999999", headers=person.auth).status_code == 404
        assert api.delete("/sessions/no-such-session", headers=person.auth).status_code == 404
        assert api.get("/users/me/", headers=person.auth).status_code == 404
        assert api.put("/users", headers=person.auth, json={}).status_code == 405
        assert api.request("PROPFIND", "/users", headers=person.auth).status_code == 405
        assert api.get("/users", headers=bearer("no-token")).status_code == 401
        page = scrape(watched)
    name, user = "ostiary_http_requests_total", "/api/v1/users/{user_id}"
    assert page.value(name, route=user, method="GET", status="200") == 3
    assert page.value(name, route=user, method="HEAD", status="200") == 1
    assert page.value(name, route=user, method="GET", status="404") == 1
    assert page.value(name, route="/api/v1/sessions/{session_id}", method="DELETE", status="404") == 1
    assert page.value(name, route="/api/v1/users", method="PUT", status="405") == 1
    assert page.value(name, method="other", status="405") == 1
    assert page.value(name, route=NO_ROUTE, status="404") == 1
    assert page.value(name, route=NO_ROUTE, status="401") == 1
    assert page.value("ostiary_http_refusals_total", problem="InvalidCredentials") == 1
    assert page.value("ostiary_http_refusals_total", problem="MethodNotAllowed") == 2
    assert page.value("ostiary_http_request_duration_seconds_count", route=user, method="GET") == 4
    assert page.value("ostiary_http_request_duration_seconds_bucket", route=user, method="GET", le="+Inf") == 4
    assert page.value("ostiary_http_requests_in_flight") == 0
    declared = {endpoint.path for endpoint in watched.application.routes}  # type: ignore[attr-defined]
    assert page.labels_of(name, "route") <= declared | {NO_ROUTE}


@pytest.mark.any_engine
def test_who_goes_over_a_limit_is_counted(make_server: MakeServer) -> None:
    server = make_server(metrics_port=0, rate_limit="on", rate_limit_per_address="3/minute")
    with server.client() as api:
        statuses = [api.get("/users").status_code for _ in range(5)]
    assert statuses.count(429) == 2
    page = scrape(server)
    assert page.value("ostiary_http_requests_total", status="429", route=NO_ROUTE) == 2
    assert page.value("ostiary_http_refusals_total", problem="RateLimited") == 2


def test_logins_sign_ups_and_refreshes_are_counted_by_how_they_went(watched: Server) -> None:
    with watched.client() as api:
        person = sign_up(api)
        assert api.post("/auth/login", json={"email": person.email, "password": "wrong"}).status_code == 401
        assert api.post("/auth/login", json={"email": "nobody@example.com", "password": "x"}).status_code == 401
        person = log_in(api, person)
        old, new = person.refresh_token, refresh(api, person.refresh_token).json()["refresh_token"]
        assert refresh(api, new).status_code == 200
        assert refresh(api, old).status_code == 401
        assert refresh(api, "nonsense").status_code == 401
        assert api.post("/users", json=newcomer(password="short")).status_code == 400
        page = scrape(watched)
    logins = {result: page.value("ostiary_logins_total", result=result) for result in ("success", "wrong_password")}
    assert logins == {"success": 1, "wrong_password": 1}
    assert page.value("ostiary_logins_total", result="unknown_address") == 1
    assert page.value("ostiary_signups_total") == 1
    assert page.value("ostiary_users") == 1
    refreshes = {
        result: page.value("ostiary_token_refreshes_total", result=result) for result in ("rotated", "refused")
    }
    assert refreshes == {"rotated": 2, "refused": 1}
    assert page.value("ostiary_token_refreshes_total", result="replayed") == 1
    assert page.value("ostiary_hashing_duration_seconds_count", work="verify") == 3
    assert page.value("ostiary_hashing_duration_seconds_count", work="hash") == 1
    assert page.value("ostiary_hashing_duration_seconds_sum", work="verify") > 0
    assert page.value("ostiary_batched_items_total", of="refreshes") == 3


def test_what_waits_in_the_database_is_told_with_its_age(watched: Server) -> None:
    watched.clock.advance(seconds=2)
    page = scrape(watched)
    assert page.value("ostiary_outbox_oldest_age_seconds") == 0
    assert page.value("ostiary_database_up") == 1
    [labels] = [sample.labels for sample in page.samples if sample.name == "ostiary_schema_info"]
    assert labels["revision"] == labels["needed"]
    since = page.value("ostiary_signing_key_activated_timestamp_seconds")
    assert page.value("ostiary_signing_key_due_timestamp_seconds") - since == 89 * 86400
    jobs = ("keys", "last_uses", "counts", "purge", "mail", "audit_seal", "asked_mails")
    page = eventually(
        lambda: later(watched),
        lambda page: all(page.value("ostiary_job_runs_total", name=job, result="done") > 0 for job in jobs),
    )
    for job in jobs:
        assert page.value("ostiary_job_last_success_timestamp_seconds", name=job) > 0, job


def stock(**changes: object) -> Stock:
    return Stock("0001", 1, 0, None, 0, None)._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.any_engine
def test_ages_are_those_of_the_oldest_that_waits(watched: Server) -> None:
    past = watched.clock.now()
    watched.clock.advance(minutes=5)
    read = watched.app.db.read

    async def planted(flow: object, *args: object, **kwargs: object) -> object:
        if flow is take_stock:
            return stock(mails=3, oldest_mail=past, unsealed=2, oldest_unsealed=past)
        return await read(flow, *args, **kwargs)  # type: ignore[arg-type]

    watched.app.db.read = planted  # type: ignore[method-assign, assignment]
    page = scrape(watched)
    assert page.value("ostiary_outbox_mails") == 3
    assert page.value("ostiary_outbox_oldest_age_seconds") == 300
    assert page.value("ostiary_audit_unsealed_rows") == 2
    assert page.value("ostiary_audit_seal_lag_seconds") == 300


@pytest.mark.any_engine
@pytest.mark.parametrize("failure", ["away", "hangs", "broken"])
def test_with_the_database_away_all_else_is_told(watched: Server, failure: str) -> None:
    async def fail(*_: object, **__: object) -> object:
        if failure == "broken":
            raise ValueError
        if failure == "hangs":
            await asyncio.sleep(4)
        raise Unreachable(reason="planted")

    read = watched.app.db.read
    watched.app.db.read = fail  # type: ignore[method-assign, assignment]
    watched.clock.advance(seconds=10)
    page = scrape(watched)
    watched.app.db.read = read  # type: ignore[method-assign]
    assert page.value("ostiary_database_up") == 0
    assert not page.has("ostiary_users")
    assert page.has("ostiary_http_requests_in_flight")
    assert page.has("ostiary_signing_key_activated_timestamp_seconds")


@pytest.mark.any_engine
def test_many_who_ask_at_once_are_one_question_to_the_database(watched: Server) -> None:
    asked = 0
    read = watched.app.db.read

    async def counted(flow: object, *args: object, **kwargs: object) -> object:
        nonlocal asked
        asked += flow is take_stock
        return await read(flow, *args, **kwargs)  # type: ignore[arg-type]

    watched.app.db.read = counted  # type: ignore[method-assign, assignment]
    for _ in range(5):
        scrape(watched)
    assert asked <= 1


@pytest.mark.any_engine
@pytest.mark.rule("FL-6")
def test_an_error_that_nobody_foresaw_is_counted(watched: Server) -> None:
    async def fail(_: object) -> list[User]:
        raise ValueError

    assert scrape(watched).value("ostiary_unhandled_errors_total") == 0
    watched.app.user_reads._run = fail
    with watched.client() as api:
        person = signed_in(api)
        assert api.get(f"/users/{person.id}", headers=person.auth).status_code == 500
    page = scrape(watched)
    assert page.value("ostiary_unhandled_errors_total") == 1
    assert page.value("ostiary_http_requests_total", status="500", route="/api/v1/users/{user_id}") == 1


@pytest.mark.any_engine
def test_two_apps_in_one_process_count_apart(make_server: MakeServer) -> None:
    one, other = make_server(metrics_port=0), make_server(metrics_port=0)
    with one.client() as api:
        sign_up(api)
    assert scrape(one).value("ostiary_signups_total") == 1
    assert scrape(other).value("ostiary_signups_total") == 0


@pytest.mark.any_engine
def test_hashing_that_finds_no_room_is_counted(make_server: MakeServer) -> None:
    def fill(app: App) -> None:
        app.hasher._verifying.mean_seconds = 10.0
        app.hasher._hashers._busy = app.hasher._hashers._count

    server = make_server(metrics_port=0, change=fill)
    with server.client() as api:
        answer = api.post("/auth/login", json={"email": "ada@example.com", "password": "whatever-else"})
    assert answer.status_code == 503
    page = scrape(server)
    assert page.value("ostiary_hashing_refused_total", work="verify") == 1
    assert page.value("ostiary_http_refusals_total", problem="Unavailable") == 1


@pytest.mark.any_engine
def test_nothing_is_counted_where_nobody_asks(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as api:
        sign_up(api)
        assert httpx.get(f"{server.url}/metrics", trust_env=False).status_code == 404
    assert list(server.app.metrics.requests.by_status()) == []
