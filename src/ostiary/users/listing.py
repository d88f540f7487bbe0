"""Who sees whom, and reading users one by one or page by page.

The rule is one function, `scope_of`; every reading takes its answer as a row filter, so that items, totals and
single reads can never disagree.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection

from ostiary.db import Database
from ostiary.problems import NotFound
from ostiary.users.counting import find_places
from ostiary.users.hot import USER, USERS_FROM
from ostiary.users.models import User, from_row, from_stored, select_users, users, users_by_id


class DirectoryVisibility(StrEnum):
    """What a signed-in user without the permission `users:read` sees of the others."""

    MEMBERS = "members"
    SELF = "self"


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows somebody may see: all of them, or one user's."""

    only: int | None = None

    def holds(self, user_id: int) -> bool:
        """Say whether this row is among them."""
        return self.only is None or self.only == user_id


def scope_of(*, user_id: int, may_read_users: bool, visibility: DirectoryVisibility) -> Scope:
    """Decide whom a caller sees (contract, "Who sees whom"; AD-5). Who may read users, as superusers do, sees all."""
    if may_read_users or visibility is DirectoryVisibility.MEMBERS:
        return Scope()
    return Scope(only=user_id)


class Wanted(NamedTuple):
    """One user that somebody asks for."""

    user_id: int
    scope: Scope


class PageWanted(NamedTuple):
    """One page of users that somebody asks for."""

    scope: Scope
    skip: int
    limit: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page of users in the order of their ids, and how many there are in all."""

    items: list[User]
    total: int


async def read_users(db: Database, wanted: list[Wanted]) -> list[User | Exception]:
    """Answer many requests for one user each, from one snapshot; NotFound for those who are not to be seen."""
    rows = await db.look_up(USER, [(want.user_id,) for want in wanted])
    return [
        NotFound() if row is None or not want.scope.holds(want.user_id) else from_stored(row)
        for want, row in zip(wanted, rows, strict=True)
    ]


def list_pages(connection: Connection, wanted: list[PageWanted]) -> list[Page | Exception]:
    """Answer many requests for a page each, in a fixed few statements (on SQLite, one more for each page).

    What it costs depends neither on how many users there are nor on how many are skipped: the counts say in which
    block of ids a page begins. `skip` from 0, `limit` at least 1.
    """
    everybody = {(want.skip, want.limit) for want in wanted if want.scope.only is None}
    pages = _pages_of_all(connection, sorted(everybody)) if everybody else {}
    alone = {want.scope.only for want in wanted if want.scope.only is not None}
    found = users_by_id(connection, alone) if alone else {}
    answers: list[Page | Exception] = []
    for want in wanted:
        if want.scope.only is None:
            answers.append(pages[want.skip, want.limit])
        else:
            user = found.get(want.scope.only)
            answers.append(Page([user] if user and not want.skip else [], 0 if user is None else 1))
    return answers


def _pages_of_all(connection: Connection, asked: list[tuple[int, int]]) -> dict[tuple[int, int], Page]:
    total, places = find_places(connection, {skip for skip, _ in asked})
    begun = [(skip, limit) for skip, limit in asked if skip in places]
    stretches = [(*places[skip], limit) for skip, limit in begun]
    pages = {key: Page([], total) for key in asked}
    for key, rows in zip(begun, USERS_FROM.rows(connection, stretches), strict=True):
        pages[key] = Page([from_stored(row) for row in rows], total)
    return pages


def users_after(connection: Connection, user_id: int, *, limit: int) -> list[User]:
    """Answer the users whose ids come next after one, in order: for those who walk through all of them."""
    page = select_users().where(users.c.id > user_id).order_by(users.c.id).limit(limit)
    return [from_row(row) for row in connection.execute(page)]
