"""POST /service-accounts, and the keys of one: /service-accounts/{user_id}/api-keys."""

import structlog
from starlette.requests import Request
from starlette.responses import Response

from ostiary.api_keys.format import new_key
from ostiary.api_keys.making import OwnerDeactivated, ScopeNotHeld, TooManyKeys, wanted_key
from ostiary.api_keys.routes import KEY_ID, PAGE, asked_page, page_response
from ostiary.api_keys.schemas import (
    APIKeyPage,
    APIKeyRequest,
    NewAPIKeyOut,
    ServiceAccountRequest,
    moment_in,
    new_key_out,
)
from ostiary.api_keys.service_accounts import (
    list_service_keys,
    make_service_account,
    make_service_key,
    revoke_service_key,
)
from ostiary.audit.origin import origin_of
from ostiary.problems import InvalidInput, NotFound
from ostiary.roles.granting import TooManyRolesOfUser
from ostiary.roles.rights import RightsExceeded
from ostiary.users.accounts import EmailTaken, UsernameTaken
from ostiary.users.models import MAX_ID
from ostiary.users.routes import parse_user_id
from ostiary.users.schemas import UserOut, user_out
from ostiary.web.body import read_json
from ostiary.web.caller import caller_of
from ostiary.web.endpoint import Access, APIKeys, Endpoint, Parameter, app_of
from ostiary.web.render import json_response

log = structlog.get_logger(__name__)


async def post_service_account(request: Request) -> Response:
    """Make a service account."""
    app, caller = app_of(request), caller_of(request)
    body = await read_json(request, ServiceAccountRequest)
    origin, now = origin_of(request), app.clock.now()
    user = await app.db.write(make_service_account, caller, body.username, body.roles, origin=origin, now=now)
    log.info("service_account_created", user_id=user.id, by=caller.user_id)
    return json_response(user_out(user), 201)


async def post_service_key(request: Request) -> Response:
    """Make a key for a service account."""
    app, caller = app_of(request), caller_of(request)
    user_id = parse_user_id(request.path_params["user_id"])
    body = await read_json(request, APIKeyRequest)
    origin, now = origin_of(request), app.clock.now()
    wanted, new = wanted_key(body.name, body.scopes, moment_in(body.expires_at), now=now), new_key()
    key = await app.db.write(
        make_service_key, caller, user_id, new, wanted, demands=app.demands, origin=origin, now=now
    )
    log.info("api_key_created", user_id=user_id, key_id=key.id, scopes=list(key.scopes), by=caller.user_id)
    return json_response(new_key_out(key, new.plain), 201)


async def get_service_keys(request: Request) -> Response:
    """Answer a page of a service account's keys."""
    skip, limit = asked_page(request)
    user_id = parse_user_id(request.path_params["user_id"])
    page = await app_of(request).db.read(list_service_keys, user_id, skip=skip, limit=limit)
    return page_response(page, skip, limit)


async def delete_service_key(request: Request) -> Response:
    """Revoke a key of a service account."""
    app, caller = app_of(request), caller_of(request)
    user_id, key_id = parse_user_id(request.path_params["user_id"]), request.path_params["key_id"]
    origin, now = origin_of(request), app.clock.now()
    await app.db.write(revoke_service_key, caller, user_id, key_id, origin=origin, now=now)
    log.info("api_key_revoked", user_id=user_id, key_id=key_id, by=caller.user_id)
    return Response(status_code=204)


_USER_ID = Parameter(
    "user_id", "path", "The service account's id.", {"type": "integer", "minimum": 1, "maximum": MAX_ID}
)

ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/service-accounts",
        post_service_account,
        Access.SIGNED_IN,
        tag="API keys",
        summary="Create a service account",
        permission="keys:write",
        status=201,
        answer=UserOut,
        body=ServiceAccountRequest,
        problems=(UsernameTaken, EmailTaken, RightsExceeded, TooManyRolesOfUser),
    ),
    Endpoint(
        "POST",
        "/api/v1/service-accounts/{user_id}/api-keys",
        post_service_key,
        Access.RECENT,
        tag="API keys",
        summary="Create an API key for a service account",
        permission="keys:write",
        api_keys=APIKeys.REFUSED,
        name="createServiceAccountApiKey",
        status=201,
        answer=NewAPIKeyOut,
        body=APIKeyRequest,
        parameters=(_USER_ID,),
        problems=(RightsExceeded, ScopeNotHeld, TooManyKeys, OwnerDeactivated, NotFound),
    ),
    Endpoint(
        "GET",
        "/api/v1/service-accounts/{user_id}/api-keys",
        get_service_keys,
        Access.SIGNED_IN,
        tag="API keys",
        summary="List a service account's API keys",
        permission="keys:write",
        name="listServiceAccountApiKeys",
        answer=APIKeyPage,
        parameters=(_USER_ID, *PAGE),
        problems=(InvalidInput, NotFound),
    ),
    Endpoint(
        "DELETE",
        "/api/v1/service-accounts/{user_id}/api-keys/{key_id}",
        delete_service_key,
        Access.SIGNED_IN,
        tag="API keys",
        summary="Revoke an API key of a service account",
        permission="keys:write",
        name="deleteServiceAccountApiKey",
        status=204,
        parameters=(_USER_ID, KEY_ID),
        problems=(InvalidInput, RightsExceeded, NotFound),
    ),
)
