"""One suite for the stores: each gives what the windows in memory give, whose own rules `test_windows.py` shows."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ostiary.counters import Hit, SlidingWindows
from ostiary.counters.store import Held
from tests.counters.stores import Counting, InMemory, InPostgres, InRedis, in_postgres, in_redis
from tests.parts.postgres import Postgres, available

STORES = ("memory", "postgresql", "redis")
GAPS = st.one_of(st.integers(0, 8), st.integers(0, 300), st.sampled_from([255, 256, 257]))
"""In 256ths of a minute, which floats and both stores hold exactly."""
STEPS = st.lists(st.tuples(GAPS, st.lists(st.sampled_from("aab"), min_size=1, max_size=6)), max_size=25)

_NUMBERS = count()


@pytest.fixture(scope="module")
def counting(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_servers: Callable[[str], Postgres],
) -> Iterator[Counting]:
    if request.param == "memory":
        yield InMemory()
    elif request.param == "redis":
        with pytest.MonkeyPatch.context() as monkeypatch, in_redis(monkeypatch) as redis:
            yield redis
    else:
        url = postgres_servers(list(available())[-1]).create_database()
        with in_postgres(url, tmp_path_factory.mktemp("schema")) as postgres:
            yield postgres


each_store = pytest.mark.parametrize("counting", STORES, indirect=True)


def fresh(limit: int, window_seconds: int = 60) -> Callable[[str], Hit]:
    """Makes hits whose keys no test has used before."""
    number = next(_NUMBERS)
    return lambda name: Hit(f"{number}:{limit}/{window_seconds}:{name}", limit, window_seconds)


@pytest.mark.rule("RL-1", "ST-4")
@each_store
@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 5), steps=STEPS)
def test_lists_of_hits_get_what_they_get_one_by_one_in_memory(
    counting: Counting, limit: int, steps: list[tuple[int, list[str]]]
) -> None:
    hit, model, now = fresh(limit), InMemory(), 1_000_000.0
    for gap, names in steps:
        now += gap * 60 / 256
        hits = [hit(name) for name in names]
        assert counting.count(hits, now) == model.count(hits, now)


@each_store
def test_limits_of_one_key_do_not_mix(counting: Counting) -> None:
    wide, narrow = fresh(3)("a"), fresh(1, 3600)("a")
    told = counting.count([wide, narrow, wide, narrow], 1000.0)
    assert [verdict.allowed for verdict in told] == [True, True, True, False]
    assert [verdict.remaining for verdict in told] == [2, 0, 1, 0]


@each_store
def test_a_clock_that_went_back_counts_like_the_latest_moment(counting: Counting) -> None:
    hit = fresh(2)("a")
    counting.count([hit], 1000.0)
    [verdict] = counting.count([hit], 990.0)
    assert (verdict.allowed, verdict.remaining) == (True, 0)
    assert not counting.count([hit], 1055.0)[0].allowed


@each_store
def test_a_full_window_of_a_day_is_told_exactly(counting: Counting) -> None:
    """Every slot holds something: as much as a key can ever take."""
    hit, model = fresh(1_000_000, 86_400)("a"), InMemory()
    for slot in range(130):
        now = 2_000_000.0 + slot * 1440
        assert counting.count([hit] * (slot + 1), now) == model.count([hit] * (slot + 1), now)


@pytest.mark.rule("RL-3")
@pytest.mark.parametrize("counting", ["postgresql"], indirect=True)
def test_rows_that_have_nothing_left_to_count_are_cleared_away(counting: InPostgres) -> None:
    counting.run(counting.empty())
    hit, idle = fresh(5), 3_000_000.0
    counting.count([hit(str(number)) for number in range(4100)], idle)
    counting.count([hit("busy")], idle + 30)
    counting.run(counting.store.clear_away())
    assert counting.run(counting.keys()) == 4101
    counting.run(counting.set_clock(idle + 62))
    counting.run(counting.store.clear_away())
    assert counting.run(counting.keys()) == 1


@pytest.mark.rule("RL-3")
@pytest.mark.parametrize("counting", ["redis"], indirect=True)
def test_keys_expire_when_they_have_nothing_left_to_count(counting: InRedis) -> None:
    hit = fresh(5, 3600)("a")
    counting.count([hit], 3600.0)
    assert counting.run(counting.seconds_left(hit)) == pytest.approx(3660, abs=30)
    counting.count([hit], 5400.0)
    assert counting.run(counting.seconds_left(hit)) == pytest.approx(3660, abs=30)


@pytest.mark.rule("RL-1")
@pytest.mark.parametrize("counting", ["postgresql"], indirect=True)
def test_the_moment_counts_at_which_a_row_is_had_not_at_which_it_was_asked_for(counting: InPostgres) -> None:
    hit, start = fresh(1)("a"), 4_000_000.0
    counting.count([hit], start)

    async def wait_behind_another() -> bool:
        transaction = counting.beside.transaction()
        await transaction.start()
        await counting.beside.execute("SELECT 1 FROM request_counts WHERE key = $1 FOR UPDATE", hit.key)
        asking = asyncio.create_task(counting.store.count([hit]))
        await asyncio.sleep(0.2)
        await counting.set_clock(start + 61)
        await transaction.commit()
        return (await asking)[0].allowed

    assert counting.run(wait_behind_another())


@pytest.mark.rule("RL-1")
@pytest.mark.parametrize("counting", ["postgresql"], indirect=True)
@pytest.mark.parametrize("offset", [0.0, 0.3, 0.99])
def test_what_is_taken_over_counts_as_long_and_at_most_one_slot_longer(counting: InPostgres, offset: float) -> None:
    """The clocks of a server and of the store agree in nothing but how fast they go."""
    windows, model = SlidingWindows(3, 60), InMemory()
    hit, handed_over_at, ahead = fresh(3)("a"), 1030.0 + offset, 8_000_000.7
    for moment in (1000.0, 1010.3, 1020.7):
        windows.hit(hit.key, moment)
        model.count([hit], moment)
    held = [Held(str(key), 3, 60, age, hits) for key, age, hits in windows.held(handed_over_at)]
    counting.run(counting.set_clock(handed_over_at + ahead))
    for _ in range(2):  # told again, in place of what was told before
        counting.run(counting.postgres.company.take_over(held, adding=False))
    [at_home], [in_store] = model.count([hit], handed_over_at), counting.count([hit], handed_over_at + ahead)
    assert (in_store.allowed, in_store.remaining) == (False, 0)
    assert at_home.reset_seconds <= in_store.reset_seconds <= at_home.reset_seconds + 1
    counting.run(counting.postgres.company.take_over(held[-1:], adding=True))
    [verdict] = counting.count([hit], handed_over_at + ahead + in_store.reset_seconds)
    assert verdict.allowed is False, "what is added counts besides"
