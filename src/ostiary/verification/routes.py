"""Verifying an address, a forgotten password, a change of address, accepting an invitation: the API's side.

The pages that do the same for people who follow a link are in `pages/`.
"""

from starlette.requests import Request
from starlette.responses import Response

from ostiary.audit.origin import origin_of
from ostiary.credentials.one_time import TokenInvalid
from ostiary.credentials.strength import PasswordRefused
from ostiary.edge.source import source_in
from ostiary.login.signup import SignupClosed
from ostiary.mail.languages import language_in
from ostiary.problems import InvalidInput
from ostiary.users.accounts import EmailTaken, UsernameTaken
from ostiary.users.address import canonical_email, parse_email
from ostiary.users.schemas import UserOut, user_out
from ostiary.verification.addresses import confirm_email_change, request_email_change, verify_email
from ostiary.verification.asking import Wanted, ask
from ostiary.verification.invitations import accept_invitation
from ostiary.verification.recovery import reset_password
from ostiary.verification.schemas import (
    AcceptRequest,
    AddressRequest,
    EmailChangeRequest,
    ResetRequest,
    TokenRequest,
)
from ostiary.web.body import read_json
from ostiary.web.caller import caller_of
from ostiary.web.endpoint import Access, Endpoint, app_of
from ostiary.web.render import json_response


async def request_verification(request: Request) -> Response:
    """Ask for the mail that lets somebody prove his address."""
    return await _ask(request, Wanted.VERIFICATION)


async def forgot_password(request: Request) -> Response:
    """Ask for the mail that lets somebody choose a new password."""
    return await _ask(request, Wanted.RESET)


async def _ask(request: Request, wanted: Wanted) -> Response:
    """Write down what is wanted: the same work and the same answer for every address, and for what is none (RC-1)."""
    app = app_of(request)
    body = await read_json(request, AddressRequest)
    await app.db.write(
        ask,
        wanted,
        canonical_email(body.email),
        source=source_in(request.scope).key,
        origin=origin_of(request),
        language=language_in(request),
        now=app.clock.now(),
    )
    return Response(status_code=202)


async def post_verify_email(request: Request) -> Response:
    """Prove an address."""
    body = await read_json(request, TokenRequest)
    await verify_email(app_of(request), token=body.token, origin=origin_of(request))
    return Response(status_code=204)


async def post_reset(request: Request) -> Response:
    """Set a new password with a token from a mail."""
    body = await read_json(request, ResetRequest)
    await reset_password(
        app_of(request),
        token=body.token,
        new_password=body.new_password,
        origin=origin_of(request),
        source=source_in(request.scope),
    )
    return Response(status_code=204)


async def post_email(request: Request) -> Response:
    """Ask for another address."""
    body = await read_json(request, EmailChangeRequest)
    await request_email_change(
        app_of(request),
        user_id=caller_of(request).user_id,
        new_email=parse_email(body.new_email).address,
        source=source_in(request.scope),
        origin=origin_of(request),
        language=language_in(request),
    )
    return Response(status_code=202)


async def post_confirm(request: Request) -> Response:
    """Prove the other address."""
    body = await read_json(request, TokenRequest)
    await confirm_email_change(app_of(request), token=body.token, origin=origin_of(request))
    return Response(status_code=204)


async def post_invite(request: Request) -> Response:
    """Accept an invitation."""
    body = await read_json(request, AcceptRequest)
    user = await accept_invitation(
        app_of(request),
        token=body.token,
        username=body.username,
        password=body.password,
        origin=origin_of(request),
    )
    return json_response(user_out(user), 201)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v1/auth/verify-email/request",
        request_verification,
        Access.PUBLIC,
        tag="Verification",
        summary="Ask for a mail that proves an address; every answer is the same",
        status=202,
        body=AddressRequest,
        name="requestEmailVerification",
    ),
    Endpoint(
        "POST",
        "/api/v1/auth/verify-email",
        post_verify_email,
        Access.PUBLIC,
        tag="Verification",
        summary="Prove an e-mail address",
        status=204,
        body=TokenRequest,
        problems=(TokenInvalid,),
    ),
    Endpoint(
        "POST",
        "/api/v1/auth/password/forgot",
        forgot_password,
        Access.PUBLIC,
        tag="Verification",
        summary="Ask for a mail that lets a new password be set; every answer is the same",
        status=202,
        body=AddressRequest,
        name="forgotPassword",
    ),
    Endpoint(
        "POST",
        "/api/v1/auth/password/reset",
        post_reset,
        Access.PUBLIC,
        tag="Verification",
        summary="Set a new password; every session ends",
        status=204,
        body=ResetRequest,
        problems=(TokenInvalid, PasswordRefused),
        name="resetPassword",
    ),
    Endpoint(
        "POST",
        "/api/v1/users/me/email",
        post_email,
        Access.RECENT,
        tag="Account",
        summary="Ask for another e-mail address, which has to be proven",
        status=202,
        body=EmailChangeRequest,
        problems=(InvalidInput, EmailTaken),
        name="requestEmailChange",
    ),
    Endpoint(
        "POST",
        "/api/v1/auth/email/confirm",
        post_confirm,
        Access.PUBLIC,
        tag="Verification",
        summary="Prove the other e-mail address, which takes the place of the old one",
        status=204,
        body=TokenRequest,
        problems=(TokenInvalid, EmailTaken),
        name="confirmEmailChange",
    ),
    Endpoint(
        "POST",
        "/api/v1/auth/invite",
        post_invite,
        Access.PUBLIC,
        tag="Verification",
        summary="Accept an invitation",
        status=201,
        answer=UserOut,
        body=AcceptRequest,
        problems=(TokenInvalid, EmailTaken, UsernameTaken, PasswordRefused, SignupClosed),
        name="acceptInvitation",
    ),
)
