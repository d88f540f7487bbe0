"""Of several workers each tells of itself, on a port of its own, also when they are replaced."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.cli.workers import is_running, workers_of
from tests.conftest import engines
from tests.monitoring.scraping import Scraped
from tests.parts.ports import free_port
from tests.parts.postgres import Postgres
from tests.server import Process
from tests.sessions.waiting import wait_until

REQUESTS = 12


def pages(ports: tuple[int, int]) -> list[Scraped]:
    return [Scraped(httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=30).text) for port in ports]


def counted(ports: tuple[int, int]) -> list[float]:
    name = "ostiary_http_requests_total"
    return [page.value(name, route="/api/v1/health", status="200") for page in pages(ports)]


def ask(process: Process) -> None:
    for _ in range(REQUESTS):
        with process.client() as client:
            assert client.get("/health").status_code == 200


def count_workers(process: Process) -> int:
    return len(re.findall("metrics_served", process.log.read_text()))


def test_every_worker_tells_of_itself_on_a_port_of_its_own(
    postgres_servers: Callable[[str], Postgres], tmp_path: Path
) -> None:
    port = free_port(in_a_row=2)
    ports = port, port + 1
    url = postgres_servers(engines()[1].removeprefix("postgresql-")).create_database()
    environment = {"OSTIARY_DATABASE_URL": url, "OSTIARY_METRICS_PORT": str(ports[0]), "OSTIARY_RATE_LIMIT": "off"}
    with Process(tmp_path / "data", "--workers", "2", environment=environment) as process:
        ask(process)
        assert sum(counted(ports)) == REQUESTS
        assert max(page.value("ostiary_users") for page in pages(ports)) == 0
        started = [page.value("process_start_time_seconds") for page in pages(ports)]
        before = workers_of(process)
        os.kill(process.pid, signal.SIGHUP)
        wait_until(lambda: count_workers(process) == 4)
        wait_until(lambda: not any(map(is_running, before)))  # they serve to the end, and tell of it no more
        assert not set(started) & {page.value("process_start_time_seconds") for page in pages(ports)}
        ask(process)
        assert sum(counted(ports)) == REQUESTS
