"""Roles: /roles and what is below it, and the roles of a user: /users/{user_id}/roles."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ostiary.audit.origin import origin_of
from ostiary.problems import InvalidInput, NotFound
from ostiary.roles.definitions import (
    RoleExists,
    RoleInUse,
    TooManyRoles,
    change_role,
    create_role,
    delete_role,
    parse_description,
    parse_permissions,
    parse_role,
)
from ostiary.roles.granting import Act, TooManyRolesOfUser, change_roles, grant_role, revoke_role
from ostiary.roles.models import NAME, Role, existing_role, list_roles, roles_held
from ostiary.roles.rights import RightsExceeded
from ostiary.roles.schemas import RoleChange, RoleOut, RolePage, RoleRequest, role_out
from ostiary.users.routes import USER_ID, parse_user_id, scope_for
from ostiary.web.body import read_json
from ostiary.web.caller import caller_of
from ostiary.web.endpoint import Access, Endpoint, Handler, Parameter, app_of
from ostiary.web.parameters import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MAX_SKIP,
    limit_parameter,
    parse_count,
    skip_parameter,
)
from ostiary.web.render import json_response


async def read_roles(request: Request) -> Response:
    """Answer one page of roles."""
    skip, limit = _asked(request)
    return _page(await app_of(request).db.read(list_roles), skip, limit)


async def read_role(request: Request) -> Response:
    """Answer one role."""
    role = await app_of(request).db.read(existing_role, request.path_params["name"])
    return json_response(role_out(role))


async def post_role(request: Request) -> Response:
    """Make a role."""
    app, caller = app_of(request), caller_of(request)
    body = await read_json(request, RoleRequest)
    wanted = parse_role(name=body.name, description=body.description, permissions=body.permissions)
    role = await app.db.write(create_role, caller, wanted, origin=origin_of(request), now=app.clock.now())
    return json_response(role_out(role), 201)


async def patch_role(request: Request) -> Response:
    """Change what the body names."""
    app, caller = app_of(request), caller_of(request)
    body = await read_json(request, RoleChange)
    given = body.model_fields_set
    role = await app.db.write(
        change_role,
        caller,
        request.path_params["name"],
        description=parse_description(body.description) if "description" in given else None,
        permissions=parse_permissions(body.permissions) if "permissions" in given else None,
        origin=origin_of(request),
        now=app.clock.now(),
    )
    return json_response(role_out(role))


async def remove_role(request: Request) -> Response:
    """Remove a role that nobody has."""
    app, caller = app_of(request), caller_of(request)
    await app.db.write(delete_role, caller, request.path_params["name"], origin=origin_of(request), now=app.clock.now())
    return Response(status_code=204)


async def read_roles_of_user(request: Request) -> Response:
    """Answer one page of a user's roles."""
    skip, limit = _asked(request)
    user_id = parse_user_id(request.path_params["user_id"])
    app = app_of(request)
    return _page(await app.db.read(roles_held, user_id, scope_for(app, caller_of(request))), skip, limit)


async def put_role_of_user(request: Request) -> Response:
    """Give a user a role."""
    return await _change_roles(request, grant_role)


async def remove_role_of_user(request: Request) -> Response:
    """Take a role from a user."""
    return await _change_roles(request, revoke_role)


async def _change_roles(request: Request, act: Act) -> Response:
    app, caller = app_of(request), caller_of(request)
    await app.db.write(
        change_roles,
        act,
        caller,
        parse_user_id(request.path_params["user_id"]),
        request.path_params["name"],
        scope=scope_for(app, caller),
        sealer=app.sealer,
        origin=origin_of(request),
        now=app.clock.now(),
    )
    return Response(status_code=204)


def _asked(request: Request) -> tuple[int, int]:
    skip = parse_count(request, "skip", default=0, least=0, most=MAX_SKIP)
    return skip, parse_count(request, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)


def _page(found: Sequence[Role], skip: int, limit: int) -> Response:
    items = [role_out(role) for role in found[skip : skip + limit]]
    return json_response({"items": items, "total": len(found), "skip": skip, "limit": limit})


_NAME = Parameter("name", "path", "The role's name.", {"type": "string", "pattern": f"^{NAME.pattern}$"})
_SKIP, _LIMIT = skip_parameter("How many roles to leave out."), limit_parameter("How many roles to answer at most.")


def _endpoint(method: str, path: str, handler: Handler, summary: str, **declared: Any) -> Endpoint:
    """All of these ask for the same permission."""
    return Endpoint(
        method,
        f"/api/v1{path}",
        handler,
        Access.SIGNED_IN,
        tag="Roles",
        summary=summary,
        permission="roles:write",
        **declared,
    )


ENDPOINTS = (
    _endpoint(
        "GET",
        "/roles",
        read_roles,
        "List roles",
        answer=RolePage,
        parameters=(_SKIP, _LIMIT),
        problems=(InvalidInput,),
    ),
    _endpoint(
        "POST",
        "/roles",
        post_role,
        "Make a role",
        answer=RoleOut,
        status=201,
        body=RoleRequest,
        problems=(RoleExists, RightsExceeded, TooManyRoles),
    ),
    _endpoint("GET", "/roles/{name}", read_role, "Get role", answer=RoleOut, parameters=(_NAME,), problems=(NotFound,)),
    _endpoint(
        "PATCH",
        "/roles/{name}",
        patch_role,
        "Change a role for all who have it",
        answer=RoleOut,
        body=RoleChange,
        parameters=(_NAME,),
        problems=(RightsExceeded, NotFound),
    ),
    _endpoint(
        "DELETE",
        "/roles/{name}",
        remove_role,
        "Delete a role that nobody has",
        status=204,
        parameters=(_NAME,),
        problems=(RightsExceeded, RoleInUse, NotFound),
    ),
    _endpoint(
        "GET",
        "/users/{user_id}/roles",
        read_roles_of_user,
        "List a user's roles",
        name="listUserRoles",
        answer=RolePage,
        parameters=(USER_ID, _SKIP, _LIMIT),
        problems=(InvalidInput, NotFound),
    ),
    _endpoint(
        "PUT",
        "/users/{user_id}/roles/{name}",
        put_role_of_user,
        "Give a user a role",
        name="replaceUserRole",
        status=204,
        parameters=(USER_ID, _NAME),
        problems=(InvalidInput, RightsExceeded, TooManyRolesOfUser, NotFound),
    ),
    _endpoint(
        "DELETE",
        "/users/{user_id}/roles/{name}",
        remove_role_of_user,
        "Take a role from a user",
        name="deleteUserRole",
        status=204,
        parameters=(USER_ID, _NAME),
        problems=(InvalidInput, RightsExceeded, NotFound),
    ),
)
