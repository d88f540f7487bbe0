"""Reading users one by one and page by page. Sign-up is in `login`, since it needs a password."""

from starlette.requests import Request
from starlette.responses import Response

from ostiary.context import App
from ostiary.problems import InvalidInput, NotFound
from ostiary.users.listing import DirectoryVisibility, PageWanted, Scope, Wanted, scope_of
from ostiary.users.models import MAX_ID
from ostiary.users.schemas import UserOut, user_json
from ostiary.web.caller import Caller, caller_of
from ostiary.web.endpoint import Access, APIKeys, Endpoint, Parameter, app_of
from ostiary.web.parameters import (
    DEFAULT_LIMIT,
    INTEGER,
    MAX_LIMIT,
    MAX_SKIP,
    parse_count,
)
from ostiary.web.render import JSON


async def read_user(request: Request) -> Response:
    """Answer one user."""
    app, caller = app_of(request), caller_of(request)
    user_id = parse_user_id(request.path_params["user_id"])
    user = await app.user_reads(Wanted(user_id, scope_for(app, caller)))
    return JSON(user_json(user).encode())


async def read_page(request: Request) -> Response:
    """Answer one page of all users, which is what is asked for most; `administration` finds some of them."""
    app, caller = app_of(request), caller_of(request)
    skip = parse_count(request, "skip", default=0, least=0, most=MAX_SKIP)
    limit = parse_count(request, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
    page = await app.user_pages(PageWanted(scope_for(app, caller), skip, limit))
    items = ",".join(map(user_json, page.items))
    return JSON(f'{{"items":[{items}],"total":{page.total},"skip":{skip},"limit":{limit}}}'.encode())


def scope_for(app: App, caller: Caller) -> Scope:
    """Decide whom a caller sees. What an API key sees beside its owner, its scopes must name (AK-1)."""
    visibility = DirectoryVisibility.SELF
    if caller.has_session:
        visibility = DirectoryVisibility(app.settings.directory_visibility)
    return scope_of(user_id=caller.user_id, may_read_users=caller.may("users:read"), visibility=visibility)


def parse_user_id(text: str) -> int:
    """Read a user id in a path. Raises InvalidInput for text that is no integer, NotFound for one out of range."""
    if INTEGER.fullmatch(text) is None:
        raise InvalidInput("user_id: an integer is required")
    # More than 19 digits may still be a small number, with zeros before it.
    digits = text.lstrip("-").lstrip("0")
    if text.startswith("-") or not digits or len(digits) > len(str(MAX_ID)) or int(digits) > MAX_ID:
        raise NotFound
    return int(digits)


USER_ID = Parameter("user_id", "path", "The user's id.", {"type": "integer", "minimum": 1, "maximum": MAX_ID})
ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/users/{user_id}",
        read_user,
        Access.SIGNED_IN,
        tag="Users",
        summary="Get user by ID",
        answer=UserOut,
        parameters=(USER_ID,),
        api_keys=APIKeys.READ_THEIR_OWNER,
        problems=(InvalidInput, NotFound),
        is_hot=True,
    ),
)
