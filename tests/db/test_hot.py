"""Hot questions in text: each gives what the same question in SQLAlchemy's words gives, on each engine."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select

from ostiary.api_keys.hot import KEY_CALLER
from ostiary.api_keys.models import api_keys
from ostiary.audit.origin import OPERATOR
from ostiary.credentials.models import passwords
from ostiary.db.hot import Lookup
from ostiary.db.types import to_milliseconds
from ostiary.login.hot import CANDIDATE, CANDIDATE_BY_ID
from ostiary.login.places import known_places
from ostiary.roles.models import rights_of, roles_of
from ostiary.sessions.hot import CALLER, HELD_FOR_CHANGE, NEW_SESSION, ROLES_FOR_SESSION, ROTATION, USER_FOR_SESSION
from ostiary.sessions.models import Granted, Held, Session, granted_from_stored, held_from_stored, sessions, to_stored
from ostiary.users.accounts import set_superuser
from ostiary.users.hot import USER, USERS_FROM
from ostiary.users.models import User, from_row, from_stored, select_users, users
from ostiary.users.profiles import mark_verified
from ostiary.web.permissions import Rights
from tests.api_keys.keys import made_key
from tests.login.inside import remove_password
from tests.people import sign_up, signed_in
from tests.roles.planted import plant_holder, plant_role
from tests.server import Server
from tests.sessions.answers import session_of
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
        found = [tuple(row) for row in connection.execute(joined)]
        return {row[0]: (*row[1:], rights_of(connection, row[1])) for row in found}

    plant_role(server, "reader", "users:read", "audit:read")
    plant_role(server, "idle")
    plant_role(server, "writer", "users:write", "users:read")
    plant_holder(server, people[1].id, "writer", "reader", "idle")
    plant_holder(server, people[2].id, "idle")
    everybody = in_words(server, query)
    asked = [*everybody, "nobody's", *list(everybody)[:2]]
    rows = looked_up(server, CALLER, [(session_id,) for session_id in asked])
    answers = [
        None
        if row is None
        else (*row[:4], row[5], Rights.of(is_superuser=bool(row[3]), granted=(row[-1] or "").split()))
        for row in rows
    ]
    assert answers == [everybody.get(each) for each in asked]
    assert everybody[session_of(people[1])][-1].permissions == {"users:read", "users:write", "audit:read"}
    assert next(row[-1] for row in rows if row is not None and row[0] == people[0].id) is None
    assert "logged_out" in {row[5] for row in rows if row is not None}


def test_a_caller_by_api_key(server: Server, client: httpx.Client) -> None:
    people = [signed_in(client) for _ in range(2)]
    for person in (*people, people[0]):
        made_key(client, person)

    def query(connection: Connection) -> dict[str, tuple[Any, ...]]:
        k, u = api_keys.c, users.c
        columns = (u.id, k.user_id, u.is_active, u.is_superuser, k.key_hash, k.scopes)
        joined = select(k.id, *columns).select_from(api_keys.join(users, u.id == k.user_id))
        return {row[0]: tuple(row[1:]) for row in connection.execute(joined)}

    everybody = in_words(server, query)
    asked = [*everybody, "nobody's", *list(everybody)[:2]]
    rows = looked_up(server, KEY_CALLER, [(key_id,) for key_id in asked])
    assert [None if row is None else row[:6] for row in rows] == [everybody.get(each) for each in asked]
    assert rows.count(None) == 1
    plant_role(server, "some", "users:read")
    plant_role(server, "more", "audit:read", "keys:write")
    plant_holder(server, people[1].id, "some", "more")
    permitted = {row[0]: row[9] for row in looked_up(server, KEY_CALLER, [(key_id,) for key_id in everybody]) if row}
    assert permitted.pop(people[0].id) is None
    assert set(permitted.pop(people[1].id).split()) == {"users:read", "audit:read", "keys:write"}


@pytest.mark.parametrize("count", [1, 2, 64, 500])
def test_every_item_is_answered_in_its_place(server: Server, client: httpx.Client, count: int) -> None:
    known = signed_in(client).id
    asked = [known if number % 3 else 2**40 + number for number in range(count)]
    rows = looked_up(server, USER, [(user_id,) for user_id in asked])
    assert [row and row[0] for row in rows] == [known if number % 3 else None for number in range(count)]


@pytest.mark.parametrize("network", ["127.0.0.0/24", "192.0.2.0/24"])
def test_a_candidate_by_address_and_by_id(server: Server, client: httpx.Client, network: str) -> None:
    known = [signed_in(client) for _ in range(2)]
    newcomer = sign_up(client)
    remove_password(server, known[1])

    def query(connection: Connection) -> list[tuple[Any, ...]]:
        seen_here = (known_places.c.user_id == users.c.id) & (known_places.c.network == network)
        joined = users.outerjoin(passwords, passwords.c.user_id == users.c.id).outerjoin(known_places, seen_here)
        columns = (users.c.email_key, users.c.id, passwords.c.password_hash, passwords.c.pepper_id)
        rows = connection.execute(select(*columns, known_places.c.seen_at).select_from(joined))
        return [(*row[:-1], row[-1] and to_milliseconds(row[-1])) for row in rows]

    everybody = {row[0]: row[1:] for row in in_words(server, query)}
    asked = [*everybody, "none:nobody"]
    rows = looked_up(server, CANDIDATE, [(email_key, network) for email_key in asked])
    found = [None if row is None else (row[0], *row[7:10]) for row in rows]
    assert found == [everybody.get(each) for each in asked]
    by_id = looked_up(server, CANDIDATE_BY_ID, [(row[0] if row else 0, network) for row in rows])
    assert by_id == rows
    seen = {row[0] for row in rows if row is not None and row[9] is not None}
    assert seen.issuperset(person.id for person in known) if network == "127.0.0.0/24" else not seen
    assert newcomer.id not in seen
    assert any(row is not None and row[7] is None for row in rows)


def granted_in_words(connection: Connection, user_id: int) -> Granted:
    return Granted(tuple(roles_of(connection, user_id)), rights_of(connection, user_id))


def test_sessions_held_for_change(server: Server, client: httpx.Client) -> None:
    people = [signed_in(client) for _ in range(4)]
    client.post("/auth/logout", headers=people[0].auth)
    plant_role(server, "b-role", "users:write", "roles:write")
    plant_role(server, "a_role2", "users:write", "audit:read")
    plant_role(server, "nothing")
    plant_holder(server, people[1].id, "nothing", "b-role", "a_role2")
    plant_holder(server, people[2].id, "nothing")
    write(server.settings, set_superuser, people[2].id, is_superuser=True, origin=OPERATOR, now=server.clock.now())
    write(server.settings, set_superuser, people[3].id, is_superuser=True, origin=OPERATOR, now=server.clock.now())

    def in_sqlalchemy(connection: Connection) -> list[Held]:
        joined = sessions.join(users, users.c.id == sessions.c.user_id)
        query = select(
            *sessions.columns, users.c.id, users.c.is_active, users.c.email_verified_at.is_not(None)
        ).select_from(joined)
        rows = connection.execute(query.order_by(sessions.c.id)).all()
        return [
            Held(Session(*row[:-3]), row[-3], row[-2], row[-1], granted_in_words(connection, row.user_id))
            for row in rows
        ]

    def in_text(connection: Connection) -> list[Held]:
        ids = connection.execute(select(sessions.c.id)).scalars().all()
        held = [held_from_stored(row) for row in HELD_FOR_CHANGE.rows(connection, [*ids, "nobody's"])]
        return sorted(held, key=lambda each: each.session.id)

    expected = in_words(server, in_sqlalchemy)
    assert len(expected) >= 3
    assert sorted(expected, key=lambda each: each.session.id) == in_words(server, in_text)


def test_a_user_whose_session_begins(server: Server, client: httpx.Client) -> None:
    people = [signed_in(client) for _ in range(2)]
    plant_role(server, "beginner", "users:read", "keys:write")
    plant_holder(server, people[0].id, "beginner")
    write(server.settings, mark_verified, people[0].id, now=server.clock.now())

    def compare(connection: Connection) -> None:
        for person, proven in zip(people, (True, False), strict=True):
            [(user_id, is_active, proven_at, is_superuser)] = USER_FOR_SESSION.run(connection, person.id, 7)
            assert (user_id, bool(is_active), proven_at is not None, bool(is_superuser)) == (
                person.id,
                True,
                proven,
                False,
            )
            roles = ",".join(role for (role,) in ROLES_FOR_SESSION.run(connection, person.id))
            assert granted_from_stored(is_superuser, roles) == granted_in_words(connection, person.id)
        assert not USER_FOR_SESSION.run(connection, 2**40, 7)

    write(server.settings, compare)


def test_what_a_rotation_changes(server: Server, client: httpx.Client) -> None:
    person = signed_in(client)
    now = server.clock.now()

    def change(connection: Connection) -> tuple[Session, Session]:
        [session_id] = connection.execute(select(sessions.c.id).where(sessions.c.user_id == person.id)).scalars()
        moment = to_milliseconds(now) + 7
        values = (session_id, 41, b"h" * 32, moment, moment + 1, moment + 2, moment + 3, "test")
        before = held_from_stored(HELD_FOR_CHANGE.rows(connection, [session_id])[0]).session
        ROTATION.run(connection, [values])
        row = connection.execute(select(sessions).where(sessions.c.id == session_id)).one()
        return before, Session(*row)

    before, after = in_words(server, change)
    later = [now + timedelta(milliseconds=7 + number) for number in range(4)]
    assert after == before._replace(
        generation=41,
        refresh_hash=b"h" * 32,
        rotated_at=later[0],
        refresh_expires_at=later[1],
        last_used_at=later[2],
        revoked_at=later[3],
        revoked_because="test",
    )


def test_a_session_is_stored_as_it_is(server: Server, client: httpx.Client) -> None:
    """What beginning a session writes in text reads the same in SQLAlchemy's words, every column of it."""
    person = signed_in(client)

    def query(connection: Connection) -> tuple[Session, Session]:
        session = Session(*connection.execute(select(sessions).where(sessions.c.user_id == person.id)).one())
        copy = session._replace(id="another", revoked_at=session.created_at, revoked_because="copied")
        NEW_SESSION.run(connection, *to_stored(copy))
        return copy, Session(*connection.execute(select(sessions).where(sessions.c.id == "another")).one())

    copy, stored = in_words(server, query)
    assert copy == stored


def test_users_from_an_id_on(server: Server, client: httpx.Client) -> None:
    ids = [signed_in(client).id for _ in range(4)]
    stretches = [(ids[0], 0, 2), (ids[1], 1, 100), (1, 0, 100), (ids[3] + 1, 0, 5), (ids[0], 2, 1)]

    def query(connection: Connection) -> tuple[list[list[User]], list[list[User]]]:
        in_order = select_users().order_by(users.c.id)
        expected = [
            [from_row(row) for row in connection.execute(in_order.where(users.c.id >= first).offset(skip).limit(most))]
            for first, skip, most in stretches
        ]
        return expected, [[from_stored(row) for row in rows] for rows in USERS_FROM.rows(connection, stretches)]

    expected, found = in_words(server, query)
    assert found == expected
    assert [len(page) for page in found[::4]] == [2, 1]
