"""Answering GET /users: the plain page as quickly as ever, and searches."""

import re

from starlette.requests import Request
from starlette.responses import Response

from ostiary.administration.searching import Found, Search, canonical_beginning, find_users
from ostiary.administration.walks import BY_ID, ORDERS, Filters, Order, Place
from ostiary.context import App
from ostiary.problems import InvalidInput
from ostiary.users.address import MAX_ADDRESS_LENGTH
from ostiary.users.listing import PageWanted
from ostiary.users.routes import read_page, scope_for
from ostiary.users.schemas import user_json
from ostiary.web.caller import caller_of
from ostiary.web.cursors import next_link
from ostiary.web.endpoint import Parameter, app_of
from ostiary.web.parameters import (
    CURSOR,
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MAX_SKIP,
    limit_parameter,
    parse_count,
    parse_cursor,
    parse_text,
    skip_parameter,
)
from ostiary.web.render import JSON

_FILTERS = ("q", "is_active", "is_superuser", "role")
_SEARCHES = frozenset({*_FILTERS, "sort", "cursor"})
_WORDS = {"true": True, "false": False}
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ROLE = re.compile(r"[a-z][a-z0-9_-]{0,63}")


async def list_users(request: Request) -> Response:
    """Answer one page of users: all, or those that are looked for."""
    if _SEARCHES.isdisjoint(request.query_params):
        return await read_page(request)
    app = app_of(request)
    skip = parse_count(request, "skip", default=0, least=0, most=MAX_SKIP)
    limit = parse_count(request, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
    filters, order = _filters_in(request), _order_in(request)
    walk = f"users by {order} where {tuple(filters)!r}"
    after = _after(app, request, walk, order)
    search = Search(scope_for(app, caller_of(request)), filters, order, skip, limit, after)
    found = await _find(app, search)
    items = ",".join(map(user_json, found.items))
    response = JSON(f'{{"items":[{items}],"total":{found.total},"skip":{skip},"limit":{limit}}}'.encode())
    if found.is_capped:
        response.headers["X-Total-Capped"] = "true"
    if found.has_more:
        cursor = app.cursors.issue(walk, *Place.of(found.items[-1], order))
        response.headers["Link"] = next_link(
            request, app.settings.public_url, cursor, keep=(*_FILTERS, "sort", "limit")
        )
    return response


async def _find(app: App, search: Search) -> Found:
    """Look for users. Everybody in the order of ids is the plain page, whose `skip` reaches any distance."""
    if search.filters != Filters() or search.order != BY_ID or search.after is not None:
        return await app.db.read(find_users, search)
    page = await app.user_pages(PageWanted(search.scope, search.skip, search.limit))
    has_more = search.skip + len(page.items) < page.total and bool(page.items)
    return Found(page.items, page.total, is_capped=False, has_more=has_more)


def _filters_in(request: Request) -> Filters:
    """Read what the users have in common. Raises InvalidInput."""
    q, role = parse_text(request, "q"), parse_text(request, "role")
    if q is not None:
        if not 1 <= len(q) <= MAX_ADDRESS_LENGTH or _UNPRINTABLE.search(q):
            raise InvalidInput(f"q: must be 1 to {MAX_ADDRESS_LENGTH} printable characters")
        q = canonical_beginning(q)
    if role is not None and not _ROLE.fullmatch(role):
        raise InvalidInput("role: is not the name of a role")
    return Filters(q, _flag_in(request, "is_active"), _flag_in(request, "is_superuser"), role)


def _flag_in(request: Request, name: str) -> bool | None:
    text = parse_text(request, name)
    if text is not None and text not in _WORDS:
        raise InvalidInput(f"{name}: must be true or false")
    return None if text is None else _WORDS[text]


def _order_in(request: Request) -> Order:
    text = parse_text(request, "sort")
    if text is None:
        return BY_ID
    if text not in ORDERS:
        raise InvalidInput(f"sort: must be one of {', '.join(ORDERS)}")
    return ORDERS[text]


def _after(app: App, request: Request, walk: str, order: Order) -> Place | None:
    """Answer where the page before ended. Raises InvalidInput, CursorInvalid."""
    cursor = parse_cursor(request)
    if cursor is None:
        return None
    kind = str if order.by in {"email", "username"} else int
    user_id, value = app.cursors.read(walk, cursor, int, kind)
    return Place(user_id, value)


def _parameter(name: str, meaning: str, **schema: object) -> Parameter:
    return Parameter(name, "query", meaning, schema)


PARAMETERS = (
    skip_parameter("How many users to leave out; at most 10,000 in a search that finds so many."),
    limit_parameter("How many users to answer at most."),
    _parameter(
        "q",
        "Only users whose e-mail address or username begins like this, in upper or lower case.",
        type="string",
        minLength=1,
        maxLength=MAX_ADDRESS_LENGTH,
    ),
    _parameter("is_active", "Only users who may sign in, or only others.", type="boolean"),
    _parameter("is_superuser", "Only superusers, or only others.", type="boolean"),
    _parameter("role", "Only users who have this role.", type="string", pattern=f"^{_ROLE.pattern}$"),
    _parameter(
        "sort", "In which order; with a hyphen the other way round.", type="string", enum=list(ORDERS), default="id"
    ),
    CURSOR,
)
HEADERS = {
    "Link": 'Where the next page is, `<…>; rel="next"`, in a search or with `sort`; missing on the last page.',
    "X-Total-Capped": "`true` where there may be more than `total` says; otherwise missing.",
}
