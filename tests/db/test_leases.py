"""Leases: one holder at a time, whatever the wall clocks say, and another soon after the holder is gone."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ostiary.db import Database
from ostiary.db.leases import LENGTH_SECONDS, RENEWED_EVERY, Beat, Lease, give_up_lease, leases, read_lease, take_lease
from ostiary.settings import Settings
from ostiary.upkeep import EVERY_SECONDS
from tests.clock import FakeClock
from tests.db.opened import on_database

NAME = "work"


class Node:
    """A server as far as its lease goes: a clock of its own, and a holder of its own."""

    def __init__(self, database: Database) -> None:
        self.clock = FakeClock()
        self.lease = Lease(database, self.clock, NAME)

    async def round(self, *, seconds: float = 0) -> bool:
        self.clock.advance(seconds=seconds)
        return await self.lease.hold()


def with_nodes(settings: Settings, work: Callable[[Node, Node], Awaitable[None]]) -> None:
    async def run(database: Database) -> None:
        await database.migrate(leases.create)
        await work(Node(database), Node(database))

    on_database(settings, run)


def test_the_first_has_it_and_keeps_it(settings: Settings) -> None:
    async def work(first: Node, second: Node) -> None:
        assert await first.round()
        for _ in range(20):
            assert not await second.round(seconds=EVERY_SECONDS)
            assert await first.round(seconds=EVERY_SECONDS)
            assert first.lease.is_held
            assert not second.lease.is_held

    with_nodes(settings, work)


@pytest.mark.rule("FL-5")
@pytest.mark.parametrize("hours", [-100, 100])
def test_wall_clocks_neither_take_a_lease_nor_keep_one_alive(settings: Settings, hours: float) -> None:
    async def work(first: Node, second: Node) -> None:
        first.clock.step(hours=hours)
        assert await first.round()
        assert not await second.round()
        second.clock.step(hours=2 * hours)
        assert not await second.round(seconds=EVERY_SECONDS)
        assert await first.round(seconds=EVERY_SECONDS)
        rounds = 0
        while not await second.round(seconds=EVERY_SECONDS):  # the first is gone
            rounds += 1
            assert rounds < 10
        assert (rounds + 1) * EVERY_SECONDS <= 25

    with_nodes(settings, work)


def test_one_that_was_paused_finds_out_before_it_does_anything(settings: Settings) -> None:
    async def work(first: Node, second: Node) -> None:
        assert await first.round()
        assert not await second.round()
        assert await second.round(seconds=LENGTH_SECONDS)
        first.clock.advance(seconds=LENGTH_SECONDS)
        assert not first.lease.is_held, "without having asked"
        assert not await first.round()
        assert await second.round(seconds=EVERY_SECONDS)
        assert not await first.round(seconds=LENGTH_SECONDS - 1), "the other's time is counted from what was seen of it"

    with_nodes(settings, work)


def test_a_lease_given_up_is_anothers_at_once(settings: Settings) -> None:
    async def work(first: Node, second: Node) -> None:
        assert await first.round()
        assert not await second.round()
        await second.lease.give_up()  # which is not his
        assert not await second.round(seconds=1)
        await first.lease.give_up()
        assert not first.lease.is_held
        assert await second.round()
        assert not await first.round()

    with_nodes(settings, work)


def test_it_is_written_no_oftener_than_needed(settings: Settings) -> None:
    async def run(database: Database) -> None:
        await database.migrate(leases.create)
        node = Node(database)
        for _ in range(10):
            assert await node.round(seconds=LENGTH_SECONDS * RENEWED_EVERY / 10)
        stands = await database.read(read_lease, NAME)
        assert stands is not None
        assert stands.beat == 1

    on_database(settings, run)


def test_of_many_who_find_it_free_or_stale_at_once_one_gets_it(settings: Settings) -> None:
    async def run(database: Database) -> None:
        await database.migrate(leases.create)
        for number in range(5):
            nodes = [Node(database) for _ in range(8)]
            await asyncio.gather(*(node.lease.hold() for node in nodes))
            assert [node.lease.is_held for node in nodes].count(True) == (number == 0)
            for node in nodes:
                node.clock.advance(seconds=LENGTH_SECONDS)
            others = [node for node in nodes if not node.lease._is_ours]
            assert (await asyncio.gather(*(node.lease.hold() for node in others))).count(True) == 1

    on_database(settings, run)


def test_only_the_beat_that_was_watched_can_be_taken_over(settings: Settings) -> None:
    clock = FakeClock()

    async def run(database: Database) -> None:
        await database.migrate(leases.create)
        now = clock.now()
        assert await database.write(take_lease, NAME, "one", now=now) == Beat("one", 1)
        assert await database.write(take_lease, NAME, "one", now=now) == Beat("one", 2)
        for stale in (None, Beat("one", 1), Beat("other", 2)):
            assert await database.write(take_lease, NAME, "two", stale=stale, now=now) == Beat("one", 2)
        assert await database.write(take_lease, NAME, "two", stale=Beat("one", 2), now=now) == Beat("two", 3)
        await database.write(give_up_lease, NAME, "one")
        assert await database.read(read_lease, NAME) == Beat("two", 3)

    on_database(settings, run)
