"""The dashboard and the alerts ask for metrics that exist, in PromQL that Prometheus understands, and alerts fire."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from ostiary.metrics.declared import TOPICS
from tests.conftest import MakeServer
from tests.monitoring.scraping import port_of
from tests.parts.debian import installed
from tests.server import Server

ROOT = Path(__file__).parent.parent.parent
PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD = ROOT / "deploy/grafana/ostiary.json"
CASES = Path(__file__).parent / "alerts_test.yml"
RUNBOOK = ROOT / "docs/runbook.md"

SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}
METRICS = {
    metric.name + suffix: set(metric.labels) | ({"le"} if suffix == "_bucket" else set())
    for metrics in TOPICS.values()
    for metric in metrics
    for suffix in SUFFIXES[metric.kind]
} | {"up": set()}
"""Every series that there is (`tests/monitoring` sees them all on a live page), with its own labels."""
EVERYWHERE = {"job", "instance"}

pytestmark = pytest.mark.any_engine


def promtool(*arguments: str, given: bytes = b"") -> str:
    program = installed("promtool", package="prometheus")
    done = subprocess.run([program, *arguments], input=given, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout.decode()


def alerts() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def dashboard_queries() -> list[str]:
    document = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in document["panels"] for target in panel.get("targets", ())]
    queries += [annotation["expr"] for annotation in document["annotations"]["list"]]
    assert len(queries) > 40
    return [
        query.replace("$__rate_interval", "5m").replace("$job", "ostiary").replace("$instance", ".*")
        for query in queries
    ]


QUERIES = sorted({*dashboard_queries(), *(rule["expr"] for rule in alerts())})


@pytest.mark.parametrize("query", QUERIES)
def test_what_is_asked_for_exists(query: str) -> None:
    found = re.findall(r"\b((?:ostiary|process)_\w+|up\b)(?:\{([^}]*)\})?", query)
    assert found
    known = set(EVERYWHERE)
    for name, matchers in found:
        assert name in METRICS
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= METRICS[name] | EVERYWHERE
        known |= METRICS[name]
    for grouping in re.findall(r"\bby \(([^)]*)\)", query):
        assert set(re.findall(r"\w+", grouping)) <= known


def test_what_the_dashboard_asks_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(dashboard_queries())]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert "SUCCESS" in promtool("check", "rules", str(file))


def test_panels_of_the_dashboard_do_not_lie_upon_one_another() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24
                assert (x, y) not in taken, panel["title"]
                taken.add((x, y))


def test_prometheus_takes_its_files() -> None:
    assert "SUCCESS" in promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_every_alert_fires_when_it_should_and_else_is_silent() -> None:
    names = re.findall(r'ALERTS\{alertname="(\w+)"', CASES.read_text())
    assert set(names) == {rule["alert"] for rule in alerts()}
    promtool("test", "rules", str(CASES))


def test_every_alert_leads_to_its_page_of_the_runbook() -> None:
    headings = re.findall(r"^#+ (.+)$", RUNBOOK.read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for rule in alerts():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/runbook.md"
        assert anchor in anchors, rule["alert"]


def test_prometheus_finds_nothing_to_mend_in_the_metrics(make_server: MakeServer) -> None:
    server: Server = make_server(metrics_port=0)
    with server.client() as api:
        assert api.get("/health").status_code == 200
    page = httpx.get(f"{port_of(server)}/metrics", trust_env=False).content
    assert promtool("check", "metrics", given=page) == ""
