"""What administrators call: finding users, changing and deleting them, seeing and ending their sessions."""

import structlog
from starlette.requests import Request
from starlette.responses import Response

from ostiary.administration.authority import Administrator
from ostiary.administration.changing import Changes, change_as, end_sessions_as, remove_as, sessions_as
from ostiary.administration.finding import HEADERS, PARAMETERS, list_users
from ostiary.administration.schemas import ChangeUserRequest, InviteRequest
from ostiary.administration.searching import SearchTooBroad
from ostiary.administration.starting import Invited, NoMailbox, UserInactive, invite_as, start_reset_as
from ostiary.audit.origin import origin_of
from ostiary.login.signup import SignupClosed
from ostiary.mail.languages import language_in
from ostiary.problems import Forbidden, InvalidInput, NotFound
from ostiary.roles.rights import RightsExceeded
from ostiary.sessions.schemas import SessionPage, session_out
from ostiary.users.accounts import EmailTaken, LastSuperuser, UsernameTaken
from ostiary.users.address import parse_email, parse_username
from ostiary.users.routes import USER_ID, parse_user_id, scope_for
from ostiary.users.schemas import UserOut, UserPage, user_out
from ostiary.web.body import read_json
from ostiary.web.caller import caller_of
from ostiary.web.cursors import CursorInvalid
from ostiary.web.endpoint import Access, APIKeys, Endpoint, app_of
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


async def patch_user(request: Request) -> Response:
    """Change what the body names."""
    app = app_of(request)
    user_id = parse_user_id(request.path_params["user_id"])
    body = await read_json(request, ChangeUserRequest)
    named = body.model_dump(include=body.model_fields_set)
    if "email" in named:
        named["email"] = parse_email(body.email).address
    if "username" in named:
        parse_username(body.username)
    changes = Changes(**named)
    user = await app.db.write(
        change_as, app, user_id, changes, by=_administrator(request), origin=origin_of(request), now=app.clock.now()
    )
    log.info("user_changed", user_id=user_id, by=caller_of(request).user_id, members=sorted(named))
    return json_response(user_out(user))


async def reset_password(request: Request) -> Response:
    """Mail a user the link by which he sets a new password."""
    app = app_of(request)
    user_id = parse_user_id(request.path_params["user_id"])
    await app.db.write(
        start_reset_as, app, user_id, by=_administrator(request), origin=origin_of(request), now=app.clock.now()
    )
    log.info("password_reset_started", user_id=user_id, by=caller_of(request).user_id)
    return Response(status_code=202)


async def invite_user(request: Request) -> Response:
    """Mail somebody an invitation."""
    app = app_of(request)
    body = await read_json(request, InviteRequest)
    username = parse_username(body.username) if "username" in body.model_fields_set else None
    invited = Invited(parse_email(body.email).address, username, tuple(dict.fromkeys(body.roles)))
    await app.db.write(
        invite_as,
        app,
        invited,
        by=_administrator(request),
        origin=origin_of(request),
        language=language_in(request),
        now=app.clock.now(),
    )
    log.info("user_invited", by=caller_of(request).user_id)
    return Response(status_code=202)


async def delete_user(request: Request) -> Response:
    """Remove a user with all that belongs to him."""
    app = app_of(request)
    user_id = parse_user_id(request.path_params["user_id"])
    await app.db.write(
        remove_as,
        user_id,
        by=_administrator(request),
        sealer=app.sealer,
        origin=origin_of(request),
        now=app.clock.now(),
    )
    log.info("user_deleted", user_id=user_id, by=caller_of(request).user_id)
    return Response(status_code=204)


async def list_sessions(request: Request) -> Response:
    """Answer a user's sessions."""
    app, caller = app_of(request), caller_of(request)
    user_id = parse_user_id(request.path_params["user_id"])
    skip = parse_count(request, "skip", default=0, least=0, most=MAX_SKIP)
    limit = parse_count(request, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
    by = _administrator(request)
    found, total = await app.db.read(
        sessions_as, user_id, by=by, lifetimes=app.lifetimes, skip=skip, limit=limit, now=app.clock.now()
    )
    items = [session_out(session, current_id=caller.session_id) for session in found]
    return json_response({"items": items, "total": total, "skip": skip, "limit": limit})


async def delete_sessions(request: Request) -> Response:
    """End all sessions of a user."""
    app = app_of(request)
    user_id = parse_user_id(request.path_params["user_id"])
    ended = await app.db.write(
        end_sessions_as, user_id, by=_administrator(request), origin=origin_of(request), now=app.clock.now()
    )
    log.info("sessions_ended", user_id=user_id, by=caller_of(request).user_id, sessions=ended)
    return Response(status_code=204)


def _administrator(request: Request) -> Administrator:
    """Answer who acts here on others."""
    caller = caller_of(request)
    return Administrator(caller, scope_for(app_of(request), caller))


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/users",
        list_users,
        Access.SIGNED_IN,
        tag="Users",
        summary="List users",
        answer=UserPage,
        parameters=PARAMETERS,
        problems=(InvalidInput, SearchTooBroad, CursorInvalid),
        headers=HEADERS,
        api_keys=APIKeys.READ_THEIR_OWNER,
        is_hot=True,
    ),
    Endpoint(
        "PATCH",
        "/api/v1/users/{user_id}",
        patch_user,
        Access.SIGNED_IN,
        tag="Administration",
        summary="Change a user",
        permission="users:write",
        answer=UserOut,
        body=ChangeUserRequest,
        parameters=(USER_ID,),
        problems=(
            InvalidInput,
            EmailTaken,
            UsernameTaken,
            Forbidden,
            RightsExceeded,
            LastSuperuser,
            NoMailbox,
            NotFound,
        ),
    ),
    Endpoint(
        "DELETE",
        "/api/v1/users/{user_id}",
        delete_user,
        Access.SIGNED_IN,
        tag="Administration",
        summary="Delete a user and everything that belongs to him",
        permission="users:delete",
        status=204,
        parameters=(USER_ID,),
        problems=(InvalidInput, Forbidden, RightsExceeded, LastSuperuser, NotFound),
    ),
    Endpoint(
        "POST",
        "/api/v1/users/{user_id}/password-reset",
        reset_password,
        Access.SIGNED_IN,
        tag="Administration",
        summary="Mail a user a link to choose a new password by",
        permission="users:write",
        status=202,
        parameters=(USER_ID,),
        problems=(InvalidInput, Forbidden, RightsExceeded, NoMailbox, UserInactive, NotFound),
        name="startPasswordReset",
    ),
    Endpoint(
        "POST",
        "/api/v1/users/invite",
        invite_user,
        Access.SIGNED_IN,
        tag="Administration",
        summary="Invite somebody to have an account",
        permission="users:write",
        status=202,
        body=InviteRequest,
        problems=(InvalidInput, EmailTaken, UsernameTaken, Forbidden, RightsExceeded, SignupClosed),
        name="inviteUser",
    ),
    Endpoint(
        "GET",
        "/api/v1/users/{user_id}/sessions",
        list_sessions,
        Access.SIGNED_IN,
        tag="Administration",
        summary="List a user's sessions",
        permission="sessions:write",
        answer=SessionPage,
        parameters=(
            USER_ID,
            skip_parameter("How many sessions to leave out."),
            limit_parameter("How many sessions to answer at most."),
        ),
        problems=(InvalidInput, Forbidden, NotFound),
        name="listUserSessions",
    ),
    Endpoint(
        "DELETE",
        "/api/v1/users/{user_id}/sessions",
        delete_sessions,
        Access.SIGNED_IN,
        tag="Administration",
        summary="End all sessions of a user",
        permission="sessions:write",
        status=204,
        parameters=(USER_ID,),
        problems=(InvalidInput, Forbidden, RightsExceeded, NotFound),
    ),
)
