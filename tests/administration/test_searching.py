"""Searches find what looking at every user would find, in the same order, and never look at every user."""

import itertools
import json
import random
import sqlite3
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import Connection, event, insert, select

from ostiary.administration.searching import Found, Search, SearchTooBroad, find_users
from ostiary.administration.walks import ORDERS, Filters, Order, Place
from ostiary.clock import SystemClock
from ostiary.db.schema import upgrade_schema
from ostiary.db.types import to_milliseconds
from ostiary.problems import InvalidInput
from ostiary.roles.models import roles, user_roles
from ostiary.settings import Settings
from ostiary.users.bulk import NewUser, add_users
from ostiary.users.listing import Scope
from ostiary.users.models import User, from_row, select_users, users
from tests.conftest import NewDatabase, settings_for_tests
from tests.db.opened import on_database
from tests.sessions.beside import write

USERS = 1500
EVERYBODY = Scope()
FLAGS = (None, True, False)
LOOKED_AT = 300
"""Rows, in all steps of all statements of one search; a table's worth is many times that."""
MOST = 20
"""What the bound is taken to be where it is to be met: far less than there are users of any kind."""


@pytest.fixture(scope="module")
def place(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A database in which nothing is spread evenly: neither states over ids nor names over states."""
    settings = settings_for_tests(tmp_path_factory.mktemp("search"), new_database())
    on_database(settings, lambda database: upgrade_schema(database, settings, now=SystemClock().now()))
    write(settings, populate)
    return settings


def populate(connection: Connection) -> None:
    """Old users are inactive; names that begin with `load` are many, inactive and superusers by turns."""
    chance = random.Random(1)  # the same users each time
    now = SystemClock().now().replace(microsecond=0)
    newcomers = []
    for number in range(USERS):
        is_load = chance.random() < 0.4
        email = f"{'load' if is_load else chance.choice('abl')}{chance.getrandbits(40):x}@example.com"
        username = f"{chance.choice(['load', 'ann', 'z'])}-{chance.getrandbits(40):x}"
        is_active = number > USERS // 2 if not is_load else number % 5 == 0
        created_at = now - timedelta(days=chance.randrange(4))
        newcomers.append(
            NewUser(email.upper(), email, username.title(), username, is_active, number % 100 == 7, created_at)
        )
    ids = add_users(connection, newcomers)
    for name, holders in (("many", ids[::3]), ("few", ids[5:9])):
        row = {"name": name, "description": "", "permissions": "", "created_at": now, "updated_at": now}
        connection.execute(insert(roles).values(**row))
        held = [{"user_id": user_id, "role": name, "granted_at": now} for user_id in holders]
        connection.execute(insert(user_roles), held)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ANALYZE")


def find(connection: Connection, filters: Filters, order: Order, **more: Any) -> Found:
    members: dict[str, Any] = {"scope": EVERYBODY, "skip": 0, "limit": 10} | more
    most = members.pop("most", 10_000)
    return find_users(connection, Search(filters=filters, order=order, **members), most=most)


def everybody_in(connection: Connection) -> tuple[list[User], dict[str | None, set[int]]]:
    """All users, and who has each role."""
    everybody = [from_row(row) for row in connection.execute(select_users())]
    held: dict[str | None, set[int]] = {None: {user.id for user in everybody}, "unknown": set()}
    for user_id, role in connection.execute(select(user_roles.c.user_id, user_roles.c.role)):
        held.setdefault(role, set()).add(user_id)
    return everybody, held


def fits(user: User, filters: Filters, held: dict[str | None, set[int]]) -> bool:
    """The same said once more, apart from the product."""
    return (
        user.id in held[filters.role]
        and (filters.q is None or any(name.lower().startswith(filters.q) for name in (user.email, user.username)))
        and filters.is_active in {None, user.is_active}
        and filters.is_superuser in {None, user.is_superuser}
    )


def ordered(found: list[User], order: Order) -> list[User]:
    def key(user: User) -> Any:
        return {
            "id": user.id,
            "email": user.email.lower(),
            "username": user.username.lower(),
            "created_at": (user.created_at, user.id),
        }[order.by]

    return sorted(found, key=key, reverse=order.is_descending)


ALL_FILTERS = [
    Filters(q, is_active, is_superuser)
    for q, is_active, is_superuser in itertools.product((None, "load", "ann-1", "nobody"), FLAGS, FLAGS)
]
WITH_ROLES = [
    Filters(q, is_active, role=role)
    for q, is_active, role in itertools.product((None, "load"), (None, False), ("many", "few", "unknown"))
]
SEARCHES = [
    (filters, order)
    for filters, (name, order) in itertools.product(ALL_FILTERS + WITH_ROLES, ORDERS.items())
    if filters.q is None or name in {"id", "-username"}  # which make no difference to how names are looked for
]


@pytest.mark.rule("IN-3")
def test_every_filter_in_every_order_finds_what_a_look_at_all_users_finds(place: Settings) -> None:
    def look(connection: Connection) -> None:
        everybody, held = everybody_in(connection)
        assert len(everybody) == USERS
        for filters, order in SEARCHES:
            expected = ordered([user for user in everybody if fits(user, filters, held)], order)
            for skip, limit in ((0, 7), (max(len(expected) - 5, 0), 5)):
                found = find(connection, filters, order, skip=skip, limit=limit)
                assert found.items == expected[skip:][:limit], (filters, order, skip)
                assert (found.total, found.is_capped) == (len(expected), False)
                assert found.has_more == (len(expected) > skip + limit)

    on_database(place, lambda database: database.migrate(look))


@pytest.mark.rule("IN-3")
def test_pages_one_after_another_bring_everybody_once(place: Settings) -> None:
    def walk(connection: Connection) -> None:
        everybody, held = everybody_in(connection)
        for filters in (
            Filters(),
            Filters(is_active=True),
            Filters(is_superuser=True),
            Filters("load", is_active=False),
        ):
            for order in ORDERS.values():
                expected = ordered([user for user in everybody if fits(user, filters, held)], order)
                seen: list[User] = []
                after = None
                while True:
                    found = find(connection, filters, order, limit=100, after=after)
                    seen += found.items
                    assert found.total == len(expected)
                    if not found.has_more:
                        break
                    after = Place.of(found.items[-1], order)
                assert seen == expected, (filters, order)

    on_database(place, lambda database: database.migrate(walk))


def cost(connection: Connection, filters: Filters, order: Order, **more: Any) -> int:
    """How much work a search is: instructions on SQLite, rows that any step looked at on PostgreSQL."""
    if connection.dialect.name == "postgresql":
        return _rows_looked_at(connection, filters, order, more)
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    steps = itertools.count()
    driver.set_progress_handler(lambda: next(steps) < 0, 1)
    try:
        _find_or_refuse(connection, filters, order, more)
    finally:
        driver.set_progress_handler(None, 1)
    return next(steps) // 30  # instructions that a row takes, generously


def _find_or_refuse(connection: Connection, filters: Filters, order: Order, more: dict[str, Any]) -> None:
    with suppress(SearchTooBroad):
        find(connection, filters, order, **{"most": MOST} | more)


def _rows_looked_at(connection: Connection, filters: Filters, order: Order, more: dict[str, Any]) -> int:
    asked: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        asked.append((statement, values))

    event.listen(connection, "before_cursor_execute", note)
    try:
        _find_or_refuse(connection, filters, order, more)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    found = 0
    for statement, values in asked:
        plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).scalar_one()
        found += _rows_in(json.loads(plan)[0]["Plan"] if isinstance(plan, str) else plan[0]["Plan"])
    return found


def _rows_in(plan: dict[str, Any]) -> int:
    """The rows that a plan read from tables and indexes."""
    if "Plans" in plan:
        return sum(map(_rows_in, plan["Plans"]))
    return int((plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"])


@pytest.mark.rule("IN-3")
def test_no_search_looks_at_more_than_its_bound_however_users_are_spread(place: Settings) -> None:
    """Whole walks are an order of magnitude more than this."""

    def look(connection: Connection) -> None:
        last = connection.execute(select(users.c.id).order_by(users.c.id.desc()).limit(1)).scalar_one()
        made = connection.execute(select(users.c.created_at).order_by(users.c.created_at).offset(USERS // 2).limit(1))
        middle = to_milliseconds(made.scalar_one())
        costs = {}
        for filters, order in SEARCHES:
            after = Place(last // 2, middle if order.by == "created_at" else "m")
            costs[filters, order] = cost(connection, filters, order, after=None if order.is_descending else after)
        worst = max(costs, key=lambda search: costs[search])
        assert costs[worst] < LOOKED_AT, worst
        without_bound = cost(connection, Filters("load"), ORDERS["id"], most=USERS)
        assert without_bound > 2 * LOOKED_AT, "the measure must show a search that looks at everybody"

    on_database(place, lambda database: database.migrate(look))


@pytest.mark.rule("IN-3")
def test_what_is_cut_off_is_said_and_never_passed_off_as_the_whole(place: Settings) -> None:
    def look(connection: Connection) -> None:
        everybody, held = everybody_in(connection)

        def among(filters: Filters) -> list[User]:
            return ordered([user for user in everybody if fits(user, filters, held)], ORDERS["id"])

        # States are counted as far as the bound reaches, and paged through whole.
        for filters in (Filters(is_active=True), Filters(is_active=False), Filters(is_active=True, is_superuser=False)):
            found = find(connection, filters, ORDERS["id"], most=MOST)
            assert (found.total, found.is_capped) == (MOST, True)
            assert found.items == among(filters)[:10]
        # Of names that begin alike, some are found.
        found = find(connection, Filters("load"), ORDERS["id"], most=MOST)
        assert (found.is_capped, len(found.items)) == (True, 10)
        assert all(fits(user, Filters("load"), held) for user in found.items)
        # Whoever comes first by name may be too far off: all of the first by address are inactive.
        with pytest.raises(SearchTooBroad):
            find(connection, Filters(is_active=True, role="many"), ORDERS["email"], most=MOST)
        with pytest.raises(SearchTooBroad):
            find(connection, Filters(is_active=True), ORDERS["email"], after=Place(0, "load"), most=MOST)
        # `skip` reaches as far as the bound; behind the end there is nothing.
        with pytest.raises(InvalidInput, match="skip"):
            find(connection, Filters(is_active=True), ORDERS["id"], skip=MOST + 1, most=MOST)
        with pytest.raises(InvalidInput, match="skip"):
            find(connection, Filters(), ORDERS["-id"], skip=MOST + 1, most=MOST)
        assert find(connection, Filters("nobody"), ORDERS["id"], skip=MOST + 1, most=MOST).items == []

    on_database(place, lambda database: database.migrate(look))
