"""What the signed-in user does with his own account: /users/me and what is below it."""

import structlog
from starlette.requests import Request
from starlette.responses import Response

from ostiary.accounts.export import export_account
from ostiary.accounts.own import close_own, read_own, update_profile, update_username
from ostiary.accounts.passwords import change_password
from ostiary.accounts.schemas import (
    ExportOut,
    PasswordRequest,
    ProfileOut,
    ProfileRequest,
    UsernameRequest,
    profile_out,
)
from ostiary.audit.origin import origin_of
from ostiary.credentials.strength import PasswordRefused
from ostiary.edge.source import source_in
from ostiary.login.proof import InvalidPassword
from ostiary.problems import InvalidCredentials, InvalidInput, NotFound
from ostiary.users.accounts import LastSuperuser, UsernameTaken
from ostiary.users.address import parse_username
from ostiary.users.listing import Scope, Wanted
from ostiary.users.profiles import parse_language, parse_metadata
from ostiary.users.schemas import UserOut, user_json, user_out
from ostiary.web.body import read_json
from ostiary.web.caller import caller_of
from ostiary.web.endpoint import Access, APIKeys, Endpoint, app_of
from ostiary.web.render import JSON, json_response

log = structlog.get_logger(__name__)


async def get_me(request: Request) -> Response:
    """Answer the caller."""
    user_id = caller_of(request).user_id
    try:
        user = await app_of(request).user_reads(Wanted(user_id, Scope(only=user_id)))
    except NotFound:
        raise InvalidCredentials(reason="the caller's account ended meanwhile") from None
    return JSON(user_json(user).encode())


async def patch_me(request: Request) -> Response:
    """Give the caller another username."""
    app, caller = app_of(request), caller_of(request)
    body = await read_json(request, UsernameRequest)
    username = parse_username(body.username)
    user = await app.db.write(update_username, caller.user_id, username, origin=origin_of(request), now=app.clock.now())
    return json_response(user_out(user))


async def get_profile(request: Request) -> Response:
    """Answer the caller and what is known of him."""
    profile, roles = await app_of(request).db.read(read_own, caller_of(request).user_id)
    return json_response(profile_out(profile, roles))


async def patch_profile(request: Request) -> Response:
    """Change what the body names."""
    body = await read_json(request, ProfileRequest)
    changes: dict[str, object] = {}
    if "language" in body.model_fields_set:
        changes["language"] = None if body.language is None else parse_language(body.language)
    if "metadata" in body.model_fields_set:
        changes["metadata"] = parse_metadata(body.metadata)
    profile, roles = await app_of(request).db.write(update_profile, caller_of(request).user_id, changes)
    return json_response(profile_out(profile, roles))


async def get_export(request: Request) -> Response:
    """Answer everything that is kept of the caller."""
    app = app_of(request)
    return json_response(await app.db.read(export_account, caller_of(request).user_id, now=app.clock.now()))


async def post_password(request: Request) -> Response:
    """Give the caller a new password."""
    body = await read_json(request, PasswordRequest)
    await change_password(
        app_of(request),
        caller_of(request),
        current=body.current_password,
        new=body.new_password,
        origin=origin_of(request),
        source=source_in(request.scope),
    )
    return Response(status_code=204)


async def delete_me(request: Request) -> Response:
    """End the caller's account."""
    app, caller = app_of(request), caller_of(request)
    await app.db.write(close_own, caller.user_id, sealer=app.sealer, origin=origin_of(request), now=app.clock.now())
    log.info("account_closed", user_id=caller.user_id)
    return Response(status_code=204)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/users/me",
        get_me,
        Access.SIGNED_IN,
        tag="Account",
        summary="Get the caller",
        answer=UserOut,
        api_keys=APIKeys.READ_THEIR_OWNER,
        is_hot=True,
    ),
    Endpoint(
        "PATCH",
        "/api/v1/users/me",
        patch_me,
        Access.SIGNED_IN,
        tag="Account",
        summary="Change the caller's username",
        answer=UserOut,
        body=UsernameRequest,
        problems=(InvalidInput, UsernameTaken),
    ),
    Endpoint(
        "DELETE",
        "/api/v1/users/me",
        delete_me,
        Access.RECENT,
        tag="Account",
        summary="Delete the caller's account and everything kept of him",
        status=204,
        problems=(LastSuperuser,),
    ),
    Endpoint(
        "GET",
        "/api/v1/users/me/profile",
        get_profile,
        Access.SIGNED_IN,
        tag="Account",
        summary="Get the caller's profile",
        answer=ProfileOut,
    ),
    Endpoint(
        "PATCH",
        "/api/v1/users/me/profile",
        patch_profile,
        Access.SIGNED_IN,
        tag="Account",
        summary="Change the caller's profile",
        answer=ProfileOut,
        body=ProfileRequest,
        problems=(InvalidInput,),
    ),
    Endpoint(
        "GET",
        "/api/v1/users/me/export",
        get_export,
        Access.SIGNED_IN,
        tag="Account",
        summary="Get everything that is kept of the caller",
        answer=ExportOut,
    ),
    Endpoint(
        "POST",
        "/api/v1/users/me/password",
        post_password,
        Access.SIGNED_IN,
        tag="Account",
        summary="Change the caller's password",
        status=204,
        body=PasswordRequest,
        problems=(InvalidInput, PasswordRefused, InvalidPassword),
        name="changePassword",
    ),
)
