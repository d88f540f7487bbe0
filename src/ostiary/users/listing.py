"""Who sees whom, and reading users one by one or page by page.

The rule is one function, `scope_of`; every reading takes its answer as a row filter, so that items, totals and
single reads can never disagree.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from ostiary.db import Database
from ostiary.problems import NotFound
from ostiary.users.hot import USER
from ostiary.users.models import User, from_row, from_stored, select_users, users


class DirectoryVisibility(StrEnum):
    """What a signed-in user who is no superuser sees of the others."""

    MEMBERS = "members"
    SELF = "self"


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows somebody may see: all of them, or one user's."""

    only: int | None = None

    def holds(self, user_id: int) -> bool:
        """Say whether this row is among them."""
        return self.only is None or self.only == user_id


def scope_of(*, user_id: int, is_superuser: bool, visibility: DirectoryVisibility) -> Scope:
    """Decide whom a caller sees (contract, "Who sees whom"; AD-5)."""
    if is_superuser or visibility is DirectoryVisibility.MEMBERS:
        return Scope()
    return Scope(only=user_id)


class Wanted(NamedTuple):
    """One user that somebody asks for."""

    user_id: int
    scope: Scope


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


def list_users(connection: Connection, scope: Scope, *, skip: int, limit: int) -> Page:
    """Answer one page of the users in scope. `skip` from 0, `limit` at least 1."""
    page = select_users().order_by(users.c.id).offset(skip).limit(limit)
    count = select(func.count()).select_from(users)
    if scope.only is not None:
        page, count = page.where(users.c.id == scope.only), count.where(users.c.id == scope.only)
    return Page([from_row(row) for row in connection.execute(page)], connection.execute(count).scalar_one())
