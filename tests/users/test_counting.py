"""The counts by which users are listed are those that `count(*)` and OFFSET would give, whatever happens."""

from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, func, insert, select

from ostiary.clock import SystemClock
from ostiary.users.counting import BLOCK, FAN_OUT, fold_counts, note_added, note_removed
from ostiary.users.listing import Page, PageWanted, Scope, list_pages
from ostiary.users.models import users
from tests.db.opened import on_database
from tests.server import Server


def user_row(user_id: int) -> dict[str, Any]:
    """Somebody with this id."""
    now = SystemClock().now().replace(microsecond=0)
    address, name = f"{user_id}@x.example", f"u{user_id}"
    names = {"email": address, "email_key": address, "username": name, "username_key": name}
    return {"id": user_id, **names, "is_active": True, "is_superuser": False, "created_at": now, "updated_at": now}


def add(connection: Connection, ids: list[int]) -> None:
    """Add users with these ids, those that are there left out."""
    there = set(connection.execute(select(users.c.id)).scalars())
    new = sorted(set(ids) - there)
    if new:
        connection.execute(insert(users), [user_row(user_id) for user_id in new])
    note_added(connection, new)


def remove(connection: Connection, ids: list[int]) -> None:
    gone = list(connection.execute(delete(users).where(users.c.id.in_(ids)).returning(users.c.id)).scalars())
    note_removed(connection, gone)


def fold(connection: Connection, ids: list[int]) -> None:
    fold_counts(connection, limit=max(1, len(ids)))


def assert_true(connection: Connection, skips: list[int]) -> None:
    """Compare pages with what the plain query gives."""
    total = connection.execute(select(func.count()).select_from(users)).scalar_one()
    wanted = [PageWanted(Scope(), skip, limit) for skip in (*skips, 0, total, max(total - 1, 0)) for limit in (1, 7)]
    for want, page in zip(wanted, list_pages(connection, wanted), strict=True):
        ids = select(users.c.id).order_by(users.c.id).offset(want.skip).limit(want.limit)
        assert isinstance(page, Page)
        assert page.total == total
        assert [user.id for user in page.items] == list(connection.execute(ids).scalars())


IDS = st.lists(
    st.sampled_from([1, 2, 3])
    | st.integers(BLOCK - 2, BLOCK + 2)
    | st.integers(BLOCK * FAN_OUT - 2, BLOCK * FAN_OUT + 2)
    | st.integers(2**62, 2**62 + 2),
    min_size=1,
    max_size=8,
)
STEPS = st.lists(st.tuples(st.sampled_from([add, remove, fold]), IDS), max_size=12)


@hypothesis_settings(max_examples=25)
@given(steps=STEPS, skips=st.lists(st.integers(0, 20) | st.just(2**53 - 1), max_size=3))
def test_pages_are_those_of_count_and_offset(server: Server, steps: list[Any], skips: list[int]) -> None:
    def story(connection: Connection) -> None:
        remove(connection, list(connection.execute(select(users.c.id)).scalars()))
        for step, ids in steps:
            step(connection, ids)
            assert_true(connection, skips)

    on_database(server.settings, lambda database: database.write(story))
