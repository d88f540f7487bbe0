"""POST /users (sign-up), POST /auth/login, POST /auth/reauthenticate and POST /setup."""

from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from ostiary.audit.origin import origin_of
from ostiary.credentials.one_time import TokenInvalid
from ostiary.credentials.strength import PasswordRefused
from ostiary.edge.source import source_in
from ostiary.login.password import log_in
from ostiary.login.proof import InvalidPassword
from ostiary.login.reauthentication import reauthenticate
from ostiary.login.signup import SignupClosed, set_up, sign_up
from ostiary.mail.languages import language_in
from ostiary.problems import InvalidCredentials, InvalidInput
from ostiary.sessions.schemas import TokenPairOut, token_pair_response
from ostiary.users.accounts import EmailTaken, UsernameTaken
from ostiary.users.schemas import SignUpRequest, UserOut, user_out
from ostiary.web.body import Body, Verbatim, read_json
from ostiary.web.caller import caller_of
from ostiary.web.endpoint import Access, Endpoint, app_of
from ostiary.web.render import json_response


class LoginRequest(Body):
    """An address and its password. Any two strings are taken: what they are worth shows in the answer."""

    model_config = ConfigDict(json_schema_extra={"example": {"email": "user@example.com", "password": "password123"}})

    email: Verbatim
    password: Verbatim


class ReauthenticateRequest(Body):
    """The caller's own password."""

    model_config = ConfigDict(json_schema_extra={"example": {"password": "password123"}})

    password: Verbatim


class SetupRequest(SignUpRequest):
    """The first superuser, and the token that the server printed when it started."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "token": "…",
                "email": "admin@example.com",
                "username": "admin",
                "password": "StrongPass123!",
            }
        }
    )

    token: str = Field(description="Printed at start while there is no superuser; good for an hour, once.")


async def post_user(request: Request) -> Response:
    """Sign up."""
    body = await read_json(request, SignUpRequest)
    user = await sign_up(
        app_of(request),
        email=body.email,
        username=body.username,
        password=body.password,
        origin=origin_of(request),
        source=source_in(request.scope),
        language=language_in(request),
    )
    return json_response(user_out(user), 201)


async def post_login(request: Request) -> Response:
    """Log in with a password."""
    body = await read_json(request, LoginRequest)
    pair = await log_in(
        app_of(request),
        email=body.email,
        password=body.password,
        source=source_in(request.scope),
        origin=origin_of(request),
    )
    return token_pair_response(pair)


async def post_reauthenticate(request: Request) -> Response:
    """Prove again who one is, in the session that one has."""
    body = await read_json(request, ReauthenticateRequest)
    pair = await reauthenticate(
        app_of(request),
        caller_of(request),
        password=body.password,
        source=source_in(request.scope),
        origin=origin_of(request),
    )
    return token_pair_response(pair)


async def post_setup(request: Request) -> Response:
    """Make the first superuser."""
    body = await read_json(request, SetupRequest)
    user = await set_up(
        app_of(request),
        token=body.token,
        email=body.email,
        username=body.username,
        password=body.password,
        origin=origin_of(request),
    )
    return json_response(user_out(user), 201)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/users",
        post_user,
        Access.PUBLIC,
        tag="Users",
        summary="Create new user",
        status=201,
        answer=UserOut,
        body=SignUpRequest,
        problems=(InvalidInput, EmailTaken, UsernameTaken, PasswordRefused, SignupClosed),
    ),
    Endpoint(
        "POST",
        "/api/v1/auth/login",
        post_login,
        Access.PUBLIC,
        tag="Authentication",
        summary="Authenticate user and receive tokens",
        answer=TokenPairOut,
        body=LoginRequest,
        problems=(InvalidInput, InvalidCredentials),
        is_hot=True,
    ),
    Endpoint(
        "POST",
        "/api/v1/auth/reauthenticate",
        post_reauthenticate,
        Access.SIGNED_IN,
        tag="Authentication",
        summary="Authenticate again in the same session",
        answer=TokenPairOut,
        body=ReauthenticateRequest,
        problems=(InvalidInput, InvalidPassword),
    ),
    Endpoint(
        "POST",
        "/api/v1/setup",
        post_setup,
        Access.PUBLIC,
        tag="Administration",
        summary="Create the first superuser",
        status=201,
        answer=UserOut,
        body=SetupRequest,
        problems=(InvalidInput, TokenInvalid, EmailTaken, UsernameTaken, PasswordRefused),
    ),
)
