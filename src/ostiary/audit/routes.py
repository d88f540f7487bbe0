"""GET /audit: the log, for whoever may read it."""

from starlette.requests import Request
from starlette.responses import Response

from ostiary.audit.events import Event
from ostiary.audit.listing import Wanted, list_rows
from ostiary.audit.schemas import AuditList, audit_out
from ostiary.problems import InvalidInput
from ostiary.web.cursors import CursorInvalid, next_link
from ostiary.web.endpoint import Access, Endpoint, Parameter, app_of
from ostiary.web.parameters import (
    CURSOR,
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MAX_SKIP,
    limit_parameter,
    parse_count,
    parse_cursor,
    parse_integer,
    parse_moment,
    parse_word,
    skip_parameter,
)
from ostiary.web.render import json_response

MAX_ID = 2**63 - 1
WALK = "audit"
_KEPT = ("limit", "user_id", "actor_id", "event", "since", "until")


async def read_audit(request: Request) -> Response:
    """Answer one page of the log."""
    app = app_of(request)
    skip = parse_count(request, "skip", default=0, least=0, most=MAX_SKIP)
    limit = parse_count(request, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
    wanted = Wanted(
        user_id=parse_integer(request, "user_id", least=1, most=MAX_ID),
        actor_id=parse_integer(request, "actor_id", least=1, most=MAX_ID),
        event=parse_word(request, "event", Event),
        since=parse_moment(request, "since"),
        until=parse_moment(request, "until"),
    )
    cursor, after = parse_cursor(request), None
    if cursor is not None:
        [after] = app.cursors.read(WALK, cursor, str)
    page = await app.db.read(list_rows, wanted, skip=skip, limit=limit, after=after)
    headers = {"X-Total-Capped": "true"} if page.is_capped else {}
    if page.has_next:
        following = app.cursors.issue(WALK, page.items[-1].id)
        headers["Link"] = next_link(request, app.settings.public_url, following, keep=_KEPT)
    items = [audit_out(row) for row in page.items]
    return json_response({"items": items, "total": page.total, "skip": skip, "limit": limit}, headers=headers)


def _filter(name: str, meaning: str, **schema: object) -> Parameter:
    return Parameter(name, "query", meaning, schema)


_MOMENT = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$"}
_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}

ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/audit",
        read_audit,
        Access.SIGNED_IN,
        tag="Administration",
        summary="Read the audit log",
        permission="audit:read",
        answer=AuditList,
        parameters=(
            skip_parameter("How many events to leave out."),
            limit_parameter("How many events to answer at most."),
            _filter("user_id", "Only what concerns this user.", **_ID),
            _filter("actor_id", "Only what this user did.", **_ID),
            _filter("event", "Only this event.", type="string", enum=[event.value for event in Event]),
            _filter("since", "Only events of this moment or later, UTC.", **_MOMENT),
            _filter("until", "Only events before this moment, UTC.", **_MOMENT),
            CURSOR,
        ),
        problems=(InvalidInput, CursorInvalid),
        headers={
            "Link": 'Where the next page is, `<…>; rel="next"`; missing on the last page.',
            "X-Total-Capped": "`true` where there are more than `total` says; otherwise missing.",
        },
    ),
)
