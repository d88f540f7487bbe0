"""Walks along the indexes of users: each in one order, each ending after a known number of rows.

Users fall into four classes, by whether they are active and whether they are superusers. `id` and `created_at` have an
index that begins with the class. E-mail and username come in no order, so that another index of all of them would cost
every import dearly; there is one for the unusual, who are inactive or superusers. The usual are found among all.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Select,
    Subquery,
    and_,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    union,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from ostiary.db.types import Moment, UserId, from_milliseconds, to_milliseconds
from ostiary.roles.models import user_roles
from ostiary.users.address import canonical_email, canonical_username
from ostiary.users.models import COLUMNS, MAX_ID, User, users

_Columns: TypeAlias = ReadOnlyColumnCollection[str, Any]

_WHOLE = (*COLUMNS, users.c.email_key, users.c.username_key)
_AFTER_ALL = "\x7f"
"""Comes after every character that a key can hold: they are printable ASCII."""


class Class(NamedTuple):
    """How a user stands."""

    is_active: bool
    is_superuser: bool


USUAL = Class(is_active=True, is_superuser=False)
CLASSES = (USUAL, Class(True, True), Class(False, False), Class(False, True))  # noqa: FBT003 - active, superuser


class Filters(NamedTuple):
    """What the users to be found have in common; None where it does not matter."""

    q: str | None = None
    """How the key of the e-mail address, or of the username, begins."""
    is_active: bool | None = None
    is_superuser: bool | None = None
    role: str | None = None

    @property
    def classes(self) -> list[Class]:
        """Answer the classes that are asked for."""
        return [
            each
            for each in CLASSES
            if self.is_active in {None, each.is_active} and self.is_superuser in {None, each.is_superuser}
        ]


class Order(NamedTuple):
    """By what, and which way round."""

    by: str
    is_descending: bool = False


BY_ID = Order("id")
ORDERS = {
    f"{sign}{by}": Order(by, is_descending=bool(sign))
    for by in ("id", "email", "username", "created_at")
    for sign in ("", "-")
}
_KEYS = {"id": ("id",), "email": ("email_key",), "username": ("username_key",), "created_at": ("created_at", "id")}
"""The columns that each order goes by. Together they are different for any two users."""


class Place(NamedTuple):
    """Where a page ended: its last user, in the order's own terms."""

    user_id: int
    value: str | int
    """What the order goes by; a moment in milliseconds."""

    @classmethod
    def of(cls, user: User, order: Order) -> "Place":
        """Answer the place of a user."""
        match order.by:
            case "email":
                return cls(user.id, canonical_email(user.email))
            case "username":
                return cls(user.id, canonical_username(user.username))
            case "created_at":
                return cls(user.id, to_milliseconds(user.created_at))
        return cls(user.id, user.id)


def walk(order: Order, after: Place | None, *, most: int) -> Select[Any]:
    """Walk through all users."""
    return in_order(beyond(select(*_WHOLE), users.c, order, after), users.c, order).limit(most)


def walks_of_class(each: Class, order: Order, after: Place | None, *, most: int, engine: str) -> list[Select[Any]]:
    """Walk through one class of users, by id or creation; by e-mail or username only for the unusual."""
    if order.by == "id":
        return [_by_id(each, order, after, engine=engine).limit(most)]
    if order.by != "created_at" or after is None:
        return [walk(order, after, most=most).where(_is_of(users.c, each))]
    # Many may have been made at one moment, all by one import. SQLite does not find its place among them when moment
    # and id are compared as one, so those of the same moment are a walk of their own.
    made_at = literal(from_milliseconds(int(after.value)), Moment)
    same, later = users.c.created_at == made_at, users.c.created_at > made_at
    if order.is_descending:
        later = users.c.created_at < made_at
    others = [walk(BY_ID._replace(is_descending=order.is_descending), after, most=most).where(same)]
    return [
        each_walk.where(_is_of(users.c, each)) for each_walk in (*others, walk(order, None, most=most).where(later))
    ]


def _by_id(each: Class, order: Order, after: Place | None, *, engine: str) -> Select[Any]:
    """Go by id through one class, surely along the index of classes: along all ids it could pass over any number."""
    index = (users.c.is_active, users.c.is_superuser, users.c.id)
    query = select(*_WHOLE).order_by(*(column.desc() if order.is_descending else column for column in index))
    if engine == "sqlite":
        query = query.with_hint(users, "INDEXED BY ix_users_class", "sqlite")
        return beyond(query.where(_is_of(users.c, each)), users.c, order, after)
    # Compared as one, class and id leave PostgreSQL no other way.
    first = 1 if after is None or order.is_descending else after.user_id + 1
    last = after.user_id - 1 if after is not None and order.is_descending else MAX_ID
    place = tuple_(*index)
    return query.where(place >= _of_class(each, first), place <= _of_class(each, last))


def walks_of_beginning(filters: Filters, by: str, *, most: int) -> list[Select[Any]]:
    """Walk through those whose e-mail address or username begins as asked for; some may be of another class."""
    along = walk(Order(by), None, most=most).where(_begins(users.c[_KEYS[by][0]], filters.q or ""))
    if USUAL in filters.classes:
        return [along]
    return [along.where(_is_of(users.c, each)) for each in filters.classes]


def walk_of_role(role: str, order: Order, after: Place | None, *, most: int, engine: str) -> Select[Any]:
    """Walk, by id, through those who have a role."""
    held = user_roles.c
    holders = select(held.user_id).where(held.role == role)
    if after is not None:
        holders = holders.where(held.user_id < after.user_id if order.is_descending else held.user_id > after.user_id)
    holders = holders.order_by(held.user_id.desc() if order.is_descending else held.user_id).limit(most)
    # What has a limit is read by itself, before anything else that is asked for can lead another way. For the same
    # reason PostgreSQL is given an array, whose members it looks up: in a join it may read all users instead.
    found = (
        users.c.id.in_(holders) if engine == "sqlite" else users.c.id == func.any(func.array(holders.scalar_subquery()))
    )
    return select(*_WHOLE).where(found).limit(most)


def together(walks: Sequence[Select[Any]]) -> Subquery:
    """Put walks together; who is met on several is there once."""
    if len(walks) == 1:
        return walks[0].subquery()
    return union(*(select(each.subquery()) for each in walks)).subquery()


def in_order(query: Select[Any], columns: _Columns, order: Order) -> Select[Any]:
    """Put users in order."""
    keys = [columns[name] for name in _KEYS[order.by]]
    return query.order_by(*(key.desc() if order.is_descending else key for key in keys))


def beyond(query: Select[Any], columns: _Columns, order: Order, after: Place | None) -> Select[Any]:
    """Leave out everybody up to a place."""
    if after is None:
        return query
    keys = tuple_(*(columns[name] for name in _KEYS[order.by]))
    values: tuple[ColumnElement[Any], ...]
    if order.by == "created_at":
        values = (literal(from_milliseconds(int(after.value)), Moment), literal(after.user_id, UserId))
    else:
        values = (literal(after.user_id, UserId) if order.by == "id" else literal(after.value),)
    return query.where(keys < tuple_(*values) if order.is_descending else keys > tuple_(*values))


def fitting(columns: _Columns, filters: Filters) -> ColumnElement[bool]:
    """Say of one user whether he is among those asked for."""
    conditions: list[ColumnElement[bool]] = []
    if filters.is_active is not None:
        conditions.append(_flag(columns["is_active"], is_set=filters.is_active))
    if filters.is_superuser is not None:
        conditions.append(_flag(columns["is_superuser"], is_set=filters.is_superuser))
    if filters.q is not None:
        conditions.append(or_(*(_begins(columns[name], filters.q) for name in ("email_key", "username_key"))))
    if filters.role is not None:
        has = (user_roles.c.user_id == columns["id"]) & (user_roles.c.role == filters.role)
        conditions.append(select(user_roles.c.user_id).where(has).exists())
    return and_(true(), *conditions)


def _is_of(columns: _Columns, each: Class) -> ColumnElement[bool]:
    return _flag(columns["is_active"], is_set=each.is_active) & _flag(columns["is_superuser"], is_set=each.is_superuser)


def _flag(column: ColumnElement[bool], *, is_set: bool) -> ColumnElement[bool]:
    """Ask for a flag in the words of the partial indexes, or they would not be seen to hold whoever is meant."""
    return column if is_set else ~column


def _begins(key: ColumnElement[str], beginning: str) -> ColumnElement[bool]:
    return (key >= beginning) & (key < beginning + _AFTER_ALL)


def _of_class(each: Class, user_id: int) -> ColumnElement[Any]:
    """Answer what stands in the index of classes for a user."""
    return tuple_(literal(each.is_active, Boolean), literal(each.is_superuser, Boolean), literal(user_id, UserId))
