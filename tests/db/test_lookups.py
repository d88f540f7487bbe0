"""Hot questions in text: each gives what the same question in SQLAlchemy's words gives, on each engine."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select

from ostiary.db.hot import Lookup
from ostiary.sessions.hot import CALLER
from ostiary.sessions.models import sessions
from ostiary.users.hot import USER
from ostiary.users.models import from_row, from_stored, select_users, users
from tests.people import signed_in
from tests.server import Server
from tests.sessions.beside import beside, write


def looked_up(server: Server, lookup: Lookup, items: list[tuple[Any, ...]]) -> list[tuple[Any, ...] | None]:
    rows = beside(server.settings, lambda database: database.look_up(lookup, items))
    return [None if row is None else tuple(row) for row in rows]


def in_words(server: Server, query: Callable[[Connection], Any]) -> Any:
    return write(server.settings, query)


def test_a_user_by_id(server: Server, client: httpx.Client) -> None:
    known = [signed_in(client).id for _ in range(3)]
    asked = [known[2], 2**62, known[0], known[2], -1, known[1]]

    def query(connection: Connection) -> dict[int, Any]:
        return {row.id: from_row(row) for row in connection.execute(select_users())}

    everybody = in_words(server, query)
    rows = looked_up(server, USER, [(user_id,) for user_id in asked])
    assert [None if row is None else from_stored(row) for row in rows] == [everybody.get(each) for each in asked]
    assert rows.count(None) == 2


def test_a_caller_by_session(server: Server, client: httpx.Client) -> None:
    people = [signed_in(client) for _ in range(3)]
    client.post("/auth/logout", headers=people[0].auth)

    def query(connection: Connection) -> dict[str, tuple[Any, ...]]:
        s, u = sessions.c, users.c
        columns = (u.id, s.user_id, u.is_active, u.is_superuser, s.revoked_because)
        joined = select(s.id, *columns).select_from(sessions.join(users, u.id == s.user_id))
        return {row[0]: tuple(row[1:]) for row in connection.execute(joined)}

    everybody = in_words(server, query)
    asked = [*everybody, "nobody's", *list(everybody)[:2]]
    rows = looked_up(server, CALLER, [(session_id,) for session_id in asked])
    assert [None if row is None else (*row[:4], row[5]) for row in rows] == [everybody.get(each) for each in asked]
    assert "logged_out" in {row[5] for row in rows if row is not None}


@pytest.mark.parametrize("count", [1, 2, 64, 500])
def test_every_item_is_answered_in_its_place(server: Server, client: httpx.Client, count: int) -> None:
    known = signed_in(client).id
    asked = [known if number % 3 else 2**40 + number for number in range(count)]
    rows = looked_up(server, USER, [(user_id,) for user_id in asked])
    assert [row and row[0] for row in rows] == [known if number % 3 else None for number in range(count)]
