"""Asking for metrics as Prometheus does, and reading what comes back."""

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.server import NO_TLS, Server

TOKEN = "metrics-" + "k3vNq8Zt" * 5


class Scraped:
    """One page of metrics."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name: str, /, **labels: str) -> float:
        """The sum of the samples that have a name and at least these labels."""
        found = [sample.value for sample in self.samples if sample.name == name and fits(sample.labels, labels)]
        return sum(found)

    def has(self, name: str) -> bool:
        return any(sample.name == name for sample in self.samples)

    def labels_of(self, name: str, label: str) -> set[str]:
        return {sample.labels[label] for sample in self.samples if sample.name == name}


def fits(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())


def port_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.application.state.metrics.port.port}"


def scrape(server: Server) -> Scraped:
    """Ask a server's own port for metrics."""
    answer = httpx.get(f"{port_of(server)}/metrics", trust_env=False, verify=NO_TLS, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scraped(answer.text)
