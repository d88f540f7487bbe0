"""While the store is away each server limits by itself at the same numbers: never open, never closed, never slow."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.counters.conftest import PER_ADDRESS, Nodes
from tests.counters.hammering import be_patient, hammer, new_address, served
from tests.sessions.beside import rows
from tests.sessions.waiting import wait_until

LONGEST_SECONDS = 20
"""Half a second, and what fifty requests take on a busy machine. Who waits for the store waits for a minute."""


@contextmanager
def store_away(nodes: Nodes, how: str) -> Iterator[list[Any]]:
    """Take the store away for a while; answers the log of it, complete when all have found the store again."""
    leave, come_back = {
        "hangs": (nodes.store.pause, nodes.store.resume),
        "stops": (nodes.store.stop, nodes.store.start),
    }[how]
    with capture_logs() as lines:
        leave()
        try:
            yield lines
        finally:
            come_back()
        wait_until(lambda: nodes.are_together)


def serve_exactly_the_limit(nodes: Nodes) -> bool:
    """Whether nodes that are together serve an address its limit."""
    wait_until(lambda: nodes.are_together)
    with pytest.MonkeyPatch.context() as patch:
        be_patient(patch)
        return served(hammer(nodes.servers, 3 * PER_ADDRESS, new_address())) == PER_ADDRESS


def events(lines: list[Any]) -> list[str]:
    return [line["event"] for line in lines if line["event"] in {"counter_store_away", "counter_store_back"}]


@pytest.mark.rule("RL-3")
def test_while_the_store_hangs_each_node_limits_by_itself(nodes: Nodes) -> None:
    limits_alone_and_together_again(nodes, "hangs")


@pytest.mark.rule("RL-3")
@pytest.mark.parametrize("nodes", ["redis"], indirect=True)
def test_while_the_store_is_stopped_each_node_limits_by_itself(nodes: Nodes) -> None:
    limits_alone_and_together_again(nodes, "stops")


def limits_alone_and_together_again(nodes: Nodes, how: str) -> None:
    address = new_address()
    assert serve_exactly_the_limit(nodes)
    with pytest.MonkeyPatch.context() as patch:
        be_patient(patch)
        assert served(hammer(nodes.servers, 10, address)) == 10
    wait_until(lambda: nodes.are_together)
    before = nodes.fallbacks
    with store_away(nodes, how) as lines:
        for server in nodes.servers:
            began_at = time.monotonic()
            answers = hammer([server], PER_ADDRESS + 10, address)
            assert time.monotonic() - began_at < LONGEST_SECONDS
            assert served(answers) == PER_ADDRESS - 5, "what it has served before counts"
            assert served(hammer([server], 3, new_address())) == 3
    assert all(number > past for number, past in zip(nodes.fallbacks, before, strict=True))
    assert len(events(lines)) == 2 * (sum(nodes.fallbacks) - sum(before)), "once each way"
    assert serve_exactly_the_limit(nodes)


@pytest.mark.rule("RL-3", "ST-2")
def test_an_emptied_store_is_a_fresh_window(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
    wait_until(lambda: nodes.are_together)
    before, address = nodes.fallbacks, new_address()
    assert served(hammer(nodes.servers, 60, address)) == PER_ADDRESS
    if nodes.valkey is not None:
        nodes.valkey.flush()
        nodes.valkey.ask("SCRIPT FLUSH")
    else:
        rows(nodes.servers[0].settings, "TRUNCATE request_counts")
    assert served(hammer(nodes.servers, 120, address)) == PER_ADDRESS
    assert nodes.fallbacks == before


@pytest.mark.rule("RL-3")
def test_a_store_that_refuses_is_a_store_that_is_away(nodes: Nodes) -> None:
    def refuse() -> None:
        if nodes.valkey is not None:
            nodes.valkey.ask("CONFIG SET maxmemory 1")
        else:
            rows(nodes.servers[0].settings, "ALTER TABLE request_counts RENAME TO elsewhere")

    def relent() -> None:
        if nodes.valkey is not None:
            nodes.valkey.ask("CONFIG SET maxmemory 0")
        else:
            rows(nodes.servers[0].settings, "ALTER TABLE elsewhere RENAME TO request_counts")

    wait_until(lambda: nodes.are_together)
    before = nodes.fallbacks
    refuse()
    try:
        for server in nodes.servers:
            assert served(hammer([server], PER_ADDRESS + 10, new_address())) == PER_ADDRESS
    finally:
        relent()
    wait_until(lambda: nodes.are_together)
    assert all(number > past for number, past in zip(nodes.fallbacks, before, strict=True))
    assert serve_exactly_the_limit(nodes)


@pytest.mark.rule("RL-3")
def test_connections_that_were_cut_are_made_anew(nodes: Nodes) -> None:
    """As a restart of the store does, or a firewall: one node may count alone for a second."""
    address = new_address()
    if nodes.valkey is not None:
        nodes.valkey.ask("CLIENT KILL TYPE normal SKIPME yes")
    else:
        rows(
            nodes.servers[0].settings,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
    assert served(hammer(nodes.servers, 10, address)) == 10
    wait_until(lambda: nodes.are_together)
    assert serve_exactly_the_limit(nodes)
