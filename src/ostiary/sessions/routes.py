"""POST /auth/refresh, /auth/logout and /auth/logout-all; GET /sessions and DELETE /sessions/{session_id}."""

import re

import structlog
from starlette.requests import Request
from starlette.responses import Response

from ostiary.audit.origin import origin_of
from ostiary.edge.source import source_in
from ostiary.metrics.declared import REFRESHES
from ostiary.problems import InvalidCredentials, InvalidInput, NotFound
from ostiary.sessions import ending
from ostiary.sessions.refresh import RefreshTokenReplayed
from ostiary.sessions.schemas import RefreshRequest, SessionPage, TokenPairOut, session_out, token_pair_response
from ostiary.sessions.tokens import TokenPair
from ostiary.web.body import read_json
from ostiary.web.caller import caller_of
from ostiary.web.endpoint import Access, Endpoint, Parameter, app_of
from ostiary.web.parameters import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MAX_SKIP,
    limit_parameter,
    parse_count,
    skip_parameter,
)
from ostiary.web.render import json_response

_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")

log = structlog.get_logger(__name__)


async def refresh(request: Request) -> Response:
    """Spend a refresh token; answer a new pair."""
    metrics = app_of(request).metrics
    try:
        answer = await _refreshed(request)
    except InvalidCredentials as refusal:
        metrics.count(REFRESHES, "replayed" if isinstance(refusal, RefreshTokenReplayed) else "refused")
        raise
    metrics.count(REFRESHES, "rotated")
    return answer


async def _refreshed(request: Request) -> Response:
    app = app_of(request)
    body = await read_json(request, RefreshRequest)
    presented = app.tokens.read_refresh(body.refresh_token, origin=origin_of(request), now=app.clock.now())
    try:
        rotation = await app.rotations(presented)
    except RefreshTokenReplayed:
        log.warning(
            "refresh_token_replayed",
            user_id=presented.user_id,
            session_id=presented.session_id,
            source=source_in(request.scope).address,
        )
        raise
    access_token = app.tokens.mint_access(rotation.held, now=app.clock.now())
    return token_pair_response(TokenPair(access_token, rotation.refresh_token))


async def log_out(request: Request) -> Response:
    """End this session."""
    app, caller = app_of(request), caller_of(request)
    await app.db.write(
        ending.log_out, caller.user_id, caller.session_id, origin=origin_of(request), now=app.clock.now()
    )
    log.info("logged_out", user_id=caller.user_id, session_id=caller.session_id)
    return Response(status_code=204)


async def log_out_everywhere(request: Request) -> Response:
    """End all of the caller's sessions."""
    app, caller = app_of(request), caller_of(request)
    ended = await app.db.write(
        ending.log_out_everywhere, caller.user_id, origin=origin_of(request), now=app.clock.now()
    )
    log.info("logged_out_everywhere", user_id=caller.user_id, sessions=ended)
    return Response(status_code=204)


async def list_own(request: Request) -> Response:
    """Answer the caller's sessions."""
    app, caller = app_of(request), caller_of(request)
    skip = parse_count(request, "skip", default=0, least=0, most=MAX_SKIP)
    limit = parse_count(request, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
    found, total = await app.db.read(
        ending.live_sessions, caller.user_id, lifetimes=app.lifetimes, skip=skip, limit=limit, now=app.clock.now()
    )
    items = [session_out(session, current_id=caller.session_id) for session in found]
    return json_response({"items": items, "total": total, "skip": skip, "limit": limit})


async def end_own(request: Request) -> Response:
    """End one of the caller's sessions."""
    app, caller = app_of(request), caller_of(request)
    session_id = request.path_params["session_id"]
    if _SESSION_ID.fullmatch(session_id) is None:
        raise NotFound
    await app.db.write(
        ending.end_own_session, caller.user_id, session_id, origin=origin_of(request), now=app.clock.now()
    )
    log.info("logged_out", user_id=caller.user_id, session_id=session_id)
    return Response(status_code=204)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/auth/refresh",
        refresh,
        Access.PUBLIC,
        tag="Authentication",
        summary="Refresh access token",
        answer=TokenPairOut,
        body=RefreshRequest,
        problems=(InvalidInput, InvalidCredentials),
        is_hot=True,
    ),
    Endpoint(
        "POST",
        "/api/v1/auth/logout",
        log_out,
        Access.SIGNED_IN,
        tag="Authentication",
        summary="End this session",
        status=204,
    ),
    Endpoint(
        "POST",
        "/api/v1/auth/logout-all",
        log_out_everywhere,
        Access.SIGNED_IN,
        tag="Authentication",
        summary="End all of the caller's sessions",
        status=204,
    ),
    Endpoint(
        "GET",
        "/api/v1/sessions",
        list_own,
        Access.SIGNED_IN,
        tag="Account",
        summary="List the caller's sessions",
        answer=SessionPage,
        parameters=(
            skip_parameter("How many sessions to leave out."),
            limit_parameter("How many sessions to answer at most."),
        ),
        problems=(InvalidInput,),
    ),
    Endpoint(
        "DELETE",
        "/api/v1/sessions/{session_id}",
        end_own,
        Access.SIGNED_IN,
        tag="Account",
        summary="End one of the caller's sessions",
        status=204,
        parameters=(Parameter("session_id", "path", "The session's id.", {"type": "string"}),),
        problems=(NotFound,),
    ),
)
