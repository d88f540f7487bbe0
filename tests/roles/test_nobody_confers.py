"""Nobody confers what he does not hold, whatever is done in whatever order (AD-4): random acts by random users."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, event, insert, select

import ostiary.audit.models  # noqa: F401 - every act is recorded
from ostiary.audit.origin import OPERATOR
from ostiary.db.types import metadata
from ostiary.problems import Problem
from ostiary.roles.definitions import change_role, create_role, delete_role, parse_role
from ostiary.roles.granting import grant_role, revoke_role
from ostiary.roles.models import rights_of, roles, user_roles, written
from ostiary.users.accounts import add_user
from ostiary.users.models import users
from ostiary.web.caller import Caller
from ostiary.web.permissions import Rights

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PERMISSIONS = ["roles:write", "users:read", "users:write", "users:delete"]
NAMES = ["a", "b", "c", "d", "e"]
PEOPLE = range(1, 6)

permissions = st.sets(st.sampled_from(PERMISSIONS)).map(lambda chosen: tuple(sorted(chosen)))
names = st.sampled_from(NAMES)
people = st.sampled_from(PEOPLE)
acts = st.one_of(
    st.builds(
        lambda name, given: (create_role, parse_role(name=name, description="", permissions=given)), names, permissions
    ),
    st.builds(lambda name, given: (partial(change_role, permissions=given), name), names, permissions),
    st.tuples(st.just(delete_role), names),
    st.tuples(st.just(grant_role), people, names),
    st.tuples(st.just(revoke_role), people, names),
)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """A database in memory, whose every change is undone between examples."""
    engine = create_engine("sqlite://")
    event.listen(engine, "connect", lambda driver, _: driver.execute("PRAGMA foreign_keys = ON"))
    with engine.connect() as connection:
        metadata.create_all(connection)
        for number in PEOPLE:
            email = f"user-{number}@example.com"
            add_user(connection, email=email, username=f"user-{number}", is_superuser=number == 1, now=NOW)
        connection.commit()
        yield connection


def all_rights(connection: Connection) -> dict[int, Rights]:
    return {user_id: rights_of(connection, user_id) for user_id in connection.execute(select(users.c.id)).scalars()}


@pytest.mark.rule("AD-4")
@settings(max_examples=150)
@given(
    defined=st.dictionaries(names, permissions, min_size=2),
    held=st.sets(st.tuples(people, names)),
    todo=st.lists(st.tuples(people, acts), min_size=1, max_size=12),
)
def test_no_act_gives_more_than_its_actor_has(
    connection: Connection, defined: dict[str, tuple[str, ...]], held: set[tuple[int, str]], todo: list[tuple[int, Any]]
) -> None:
    for name, allowed in defined.items():
        row = {"name": name, "description": "", "permissions": written(allowed)}
        connection.execute(insert(roles).values(**row, created_at=NOW, updated_at=NOW))
    for user_id, name in held:
        if name in defined:
            connection.execute(insert(user_roles).values(user_id=user_id, role=name, granted_at=NOW))
    try:
        for actor_id, (flow, *arguments) in todo:
            before = all_rights(connection)
            actor = before[actor_id]
            caller = Caller(actor_id, "session", actor.is_superuser, actor.permissions)
            try:
                flow(connection, caller, *arguments, origin=OPERATOR, now=NOW)
            except Problem:
                assert all_rights(connection) == before
            after = all_rights(connection)
            for user_id, had in before.items():
                has = after[user_id]
                assert has.is_superuser == had.is_superuser
                if has != had:
                    assert actor.may("roles:write")
                    assert actor.covers(had), "wrote to somebody who may do more"
                    assert has.permissions <= had.permissions | actor.permissions, "conferred what he does not hold"
    finally:
        connection.rollback()
