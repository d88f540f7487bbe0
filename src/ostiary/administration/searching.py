"""Finding users by what they are called and how they stand, in several orders, at a cost that has a bound.

Every question is put as one or a few walks along an index, each of which ends after a known number of rows; what they
bring is filtered, put in order and cut to a page. So nobody can make a search read the whole table (IN-3).
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, select

from ostiary.administration.walks import (
    BY_ID,
    CLASSES,
    USUAL,
    Filters,
    Order,
    Place,
    beyond,
    fitting,
    in_order,
    together,
    walk,
    walk_of_role,
    walks_of_beginning,
    walks_of_class,
)
from ostiary.problems import InvalidInput
from ostiary.users.address import parse_email
from ostiary.users.counting import find_places
from ostiary.users.listing import Scope
from ostiary.users.models import COLUMNS, User, from_row, select_users, users

MOST = 10_000
"""How many rows a walk looks at, how far `skip` reaches, and up to where a total is counted."""


class SearchTooBroad(InvalidInput):
    """So many users would have to be looked through that the search is refused."""

    detail = "Too many users would have to be looked through: narrow the search, or sort by id"
    code = "search_too_broad"


@dataclass(frozen=True, slots=True)
class Search:
    """What somebody looks for, and which page of it."""

    scope: Scope
    filters: Filters
    order: Order
    skip: int
    limit: int
    after: Place | None = None


class Found(NamedTuple):
    """A page of users."""

    items: list[User]
    total: int
    is_capped: bool
    """Whether there may be more than `total` says."""
    has_more: bool
    """Whether another page follows."""


class _Source(NamedTuple):
    """Walks that together bring every user who may be on a page, and perhaps others."""

    walks: list[Select[Any]]
    is_in_order: bool = True
    """Each goes in the order that is asked for, and begins where the page before ended."""
    is_exact: bool = True
    """Nothing that they bring has to be left out."""


def canonical_beginning(text: str) -> str:
    """Give the beginning of a key that an e-mail address or a username has which begins like this."""
    try:
        return parse_email(text).canonical
    except InvalidInput:  # most often since it is no whole address yet
        return text.lower()


def find_users(connection: Connection, search: Search, *, most: int = MOST) -> Found:
    """Answer a page of those whom the scope and the filters leave.

    Raises SearchTooBroad, or InvalidInput where `skip` reaches too far.
    """
    if search.scope.only is not None:
        return _find_alone(connection, search.scope.only, search)
    total, is_capped = _count(connection, search, most)
    if search.skip > most and (is_capped or search.skip < total):
        raise InvalidInput(f"skip: at most {most} with filters or in another order; the Link header leads further")
    reach = most + search.limit + 1
    source = _source(search, reach, connection.dialect.name)
    found = together(source.walks)
    page = select(*(found.c[column.name] for column in COLUMNS))
    if not source.is_exact:
        page = page.where(fitting(found.c, _left_to_ask(search.filters)))
    if not source.is_in_order:
        page = beyond(page, found.c, search.order, search.after)
    page = in_order(page, found.c, search.order).limit(search.limit + 1).offset(search.skip)
    rows = [from_row(row) for row in connection.execute(page)]
    has_more = len(rows) > search.limit
    may_be_cut_off = source.is_in_order and not source.is_exact and not has_more
    if may_be_cut_off and _length(connection, *source.walks) >= reach:
        raise SearchTooBroad  # the page would have been full, had the walk gone on
    return Found(rows[: search.limit], total, is_capped, has_more)


def _find_alone(connection: Connection, user_id: int, search: Search) -> Found:
    """Answer the page of somebody who sees one user only."""
    alone = select_users().where(users.c.id == user_id, fitting(users.c, search.filters))
    seen = [from_row(row) for row in connection.execute(alone)]
    left = [from_row(row) for row in connection.execute(beyond(alone, users.c, search.order, search.after))]
    return Found(left[search.skip :], len(seen), is_capped=False, has_more=False)


def _count(connection: Connection, search: Search, most: int) -> tuple[int, bool]:
    """Answer how many there are, up to `most`, and whether there may be more. Raises SearchTooBroad."""
    filters, engine = search.filters, connection.dialect.name
    if filters == Filters():
        return find_places(connection, ())[0], False
    if filters.q is None and filters.role is None:
        found = sum(_length(connection, walk) for walk in _through_classes(search, BY_ID, None, most + 1, engine))
        return min(found, most), found > most
    candidates = together(_source(replace(search, after=None), most + 1, engine).walks)
    fit = func.count().filter(fitting(candidates.c, _left_to_ask(filters)))
    looked_at, found = connection.execute(select(func.count(), fit).select_from(candidates)).one()
    if looked_at > most and filters.role is not None and search.order.by != "id":
        raise SearchTooBroad  # whoever comes first in this order may be among those not looked at
    return min(found, most), looked_at > most


def _left_to_ask(filters: Filters) -> Filters:
    """Answer what is to be asked of those whom walks bring: whoever is met among those with a role has it."""
    return filters._replace(role=None)


def _source(search: Search, reach: int, engine: str) -> _Source:
    """Choose the walks: by the role or by how names begin, where that is asked for, else in the order asked for."""
    filters, order, after = search.filters, search.order, search.after
    if filters.role is not None:
        if order.by == "id":
            holders = walk_of_role(filters.role, order, after, most=reach, engine=engine)
            return _Source([holders], is_exact=False)
        holders = walk_of_role(filters.role, BY_ID, None, most=reach, engine=engine)
        return _Source([holders], is_in_order=False, is_exact=False)
    if filters.q is not None:
        walks = [each for by in ("email", "username") for each in walks_of_beginning(filters, by, most=reach)]
        return _Source(walks, is_in_order=False, is_exact=False)
    page = search.skip + search.limit + 1
    if len(filters.classes) == len(CLASSES) and order.by != "created_at":
        return _Source([walk(order, after, most=page)])
    if order.by in {"email", "username"} and USUAL in filters.classes:
        return _Source([walk(order, after, most=reach)], is_exact=False)
    return _Source(_through_classes(search, order, after, page, engine))


def _through_classes(search: Search, order: Order, after: Place | None, most: int, engine: str) -> list[Select[Any]]:
    """Walk through every class that is asked for."""
    classes = search.filters.classes
    return [walk for each in classes for walk in walks_of_class(each, order, after, most=most, engine=engine)]


def _length(connection: Connection, walk: Select[Any]) -> int:
    return connection.execute(select(func.count()).select_from(walk.subquery())).scalar_one()
