"""GET and POST /api-keys, DELETE /api-keys/{key_id}: somebody's own keys."""

import structlog
from starlette.requests import Request
from starlette.responses import Response

from ostiary.api_keys.ending import revoke_key
from ostiary.api_keys.format import new_key
from ostiary.api_keys.making import ScopeNotHeld, TooManyKeys, make_own_key, wanted_key
from ostiary.api_keys.models import KeyPage, keys_of
from ostiary.api_keys.schemas import (
    APIKeyPage,
    APIKeyRequest,
    NewAPIKeyOut,
    key_out,
    moment_in,
    new_key_out,
)
from ostiary.audit.origin import origin_of
from ostiary.problems import InvalidInput, NotFound
from ostiary.web.body import read_json
from ostiary.web.caller import caller_of
from ostiary.web.endpoint import Access, APIKeys, Endpoint, Parameter, app_of
from ostiary.web.parameters import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MAX_SKIP,
    limit_parameter,
    parse_count,
    skip_parameter,
)
from ostiary.web.render import json_response

log = structlog.get_logger(__name__)


async def post_key(request: Request) -> Response:
    """Make a key for the caller."""
    app, caller = app_of(request), caller_of(request)
    body = await read_json(request, APIKeyRequest)
    now = app.clock.now()
    wanted, new = wanted_key(body.name, body.scopes, moment_in(body.expires_at), now=now), new_key()
    key = await app.db.write(
        make_own_key,
        caller.user_id,
        new,
        wanted,
        session_id=caller.session_id,
        rights=caller.rights,
        sealer=app.sealer,
        demands=app.demands,
        origin=origin_of(request),
        now=now,
    )
    log.info("api_key_created", user_id=caller.user_id, key_id=key.id, scopes=list(key.scopes))
    return json_response(new_key_out(key, new.plain), 201)


async def list_keys(request: Request) -> Response:
    """Answer a page of the caller's keys."""
    skip, limit = asked_page(request)
    page = await app_of(request).db.read(keys_of, caller_of(request).user_id, skip=skip, limit=limit)
    return page_response(page, skip, limit)


async def delete_key(request: Request) -> Response:
    """Revoke one of the caller's keys."""
    app, caller = app_of(request), caller_of(request)
    key_id = request.path_params["key_id"]
    await app.db.write(revoke_key, key_id, owner_id=caller.user_id, origin=origin_of(request), now=app.clock.now())
    log.info("api_key_revoked", user_id=caller.user_id, key_id=key_id)
    return Response(status_code=204)


def asked_page(request: Request) -> tuple[int, int]:
    """Read `skip` and `limit`. Raises InvalidInput."""
    skip = parse_count(request, "skip", default=0, least=0, most=MAX_SKIP)
    return skip, parse_count(request, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)


def page_response(page: KeyPage, skip: int, limit: int) -> Response:
    """Answer with a page of keys."""
    items = [key_out(key) for key in page.items]
    return json_response({"items": items, "total": page.total, "skip": skip, "limit": limit})


KEY_ID = Parameter("key_id", "path", "The key's id: the part of the key after `ost_`.", {"type": "string"})
PAGE = (skip_parameter("How many keys to leave out."), limit_parameter("How many keys to answer at most."))

ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/api-keys",
        post_key,
        Access.RECENT,
        tag="API keys",
        summary="Create an API key",
        status=201,
        answer=NewAPIKeyOut,
        body=APIKeyRequest,
        api_keys=APIKeys.REFUSED,
        problems=(ScopeNotHeld, TooManyKeys),
    ),
    Endpoint(
        "GET",
        "/api/v1/api-keys",
        list_keys,
        Access.SIGNED_IN,
        tag="API keys",
        summary="List one's own API keys",
        answer=APIKeyPage,
        parameters=PAGE,
        problems=(InvalidInput,),
    ),
    Endpoint(
        "DELETE",
        "/api/v1/api-keys/{key_id}",
        delete_key,
        Access.SIGNED_IN,
        tag="API keys",
        summary="Revoke an API key",
        status=204,
        parameters=(KEY_ID,),
        problems=(NotFound,),
    ),
)
