"""The OpenAPI document, made of the endpoints' own declarations, so that it cannot say anything else than they do.

What follows from a declaration is told as well: who takes a body can refuse it, who counts requests can refuse them,
who looks at tokens can find a bad one. Answers that are given before an operation is found (404 for an unknown path,
405) belong to none and are explained in the document's description.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from itertools import groupby
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from ostiary.problems import (
    BodyTooLarge,
    Forbidden,
    InvalidCredentials,
    InvalidInput,
    Problem,
    RateLimited,
    RequestTimeout,
    SessionRequired,
    Unavailable,
    UnsupportedMediaType,
)
from ostiary.web.access import ReauthenticationRequired
from ostiary.web.body import MAX_BODY_BYTES, MAX_DEPTH, MAX_KEYS
from ostiary.web.endpoint import Access, Endpoint, Parameter

JSON: TypeAlias = dict[str, Any]

DESCRIPTION = f"""\
Accounts and authentication as a service.

**Tokens.** Sign up, log in, and send the access token with every call: `Authorization: Bearer <access_token>`. It is \
short-lived; the refresh token buys a new pair, once. A client that got no answer may send the same refresh token \
again within seconds and gets the same successor; any later replay is taken for theft and ends the session. A token \
that is sent where none is needed is looked at all the same: a bad one is refused everywhere but by the health checks.

**API keys** are for programs: `Authorization: Bearer ost_…`, in the place of an access token, where an operation says \
that it takes one. A key can do what both its scopes and its owner's rights allow at the moment of use; one without \
scopes reads its owner. Wherever a session is needed it is refused with 403 `session_required`.

**Errors** are JSON objects with `detail`, a text for people; some have `code`, a stable word for programs. Invalid \
input is always 400. A path that does not exist answers 404, and one that does not take the method 405 with `Allow`, \
which names those it takes. A trailing slash makes another path. `HEAD` works wherever `GET` does and answers the same \
without the body, so it is not listed.

**Requests** are JSON in UTF-8, of at most {MAX_BODY_BYTES // 1024} KiB, {MAX_KEYS} members and depth {MAX_DEPTH}. \
Members that an operation does not know are ignored; one given twice is refused. **Answers** have exactly the members \
shown. Times are UTC, to the second, without offset.

**Limits.** Requests are counted for each address and, with a token, for each user, in sliding windows. \
`RateLimit-Policy` names the limits and `RateLimit` says what is left of them; both are missing where the operator \
turned limits off. After the seconds of `Retry-After` the next request succeeds.

**Lists** take `skip` and `limit` and say in `total` how many items there are.
"""

TAGS = {
    "Health": "Is the service well? Not limited, never in need of a token.",
    "Authentication": "Logging in and out, and staying logged in.",
    "Users": "Signing up, and reading users.",
    "Account": "What the signed-in user does with his own account.",
    "API keys": "Credentials for programs.",
    "Roles": "What users may do beyond their own affairs. Nobody confers what he does not have.",
    "Verification": "Proving an address, choosing a new password by mail, accepting an invitation.",
    "Administration": "What superusers do, and how the first of them comes to be.",
    "Keys": "What other services need to verify access tokens by themselves.",
}
"""What the groups of operations are about, in the order in which they are shown."""

HEADERS: dict[str, JSON] = {
    "X-Request-ID": {
        "description": "Names the request; it stands in the server's log too.",
        "required": True,
        "schema": {"type": "string"},
        "example": "5f0c1d9a7be34c62",
    },
    "RateLimit-Policy": {
        "description": "Each limit that the request was counted against: how many (`q`) in how many seconds (`w`).",
        "schema": {"type": "string"},
        "example": '"address";q=100;w=60, "user";q=1000;w=3600',
    },
    "RateLimit": {
        "description": "What is left of each (`r`), and in how many seconds there is more (`t`).",
        "schema": {"type": "string"},
        "example": '"address";r=57;t=12, "user";r=942;t=1804',
    },
    "Retry-After": {
        "description": "Seconds to wait before the request is sent again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "example": 12,
    },
    "WWW-Authenticate": {
        "description": "The scheme that is asked for.",
        "required": True,
        "schema": {"const": "Bearer"},
        "example": "Bearer",
    },
    "Accept-Encoding": {
        "description": "Sent when the body was encoded: which encoding would be accepted.",
        "schema": {"const": "identity"},
        "example": "identity",
    },
}
_ALWAYS = ("X-Request-ID",)
_COUNTED = (*_ALWAYS, "RateLimit-Policy", "RateLimit")
_OF_STATUS = {
    401: ("WWW-Authenticate",),
    415: ("Accept-Encoding",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}

ERROR_SCHEMA: JSON = {
    "description": "A refusal, or a failure.",
    "type": "object",
    "required": ["detail"],
    "properties": {
        "detail": {"description": "What is wrong, for people.", "type": "string", "minLength": 1},
        "code": {"description": "The same for programs; stable.", "type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
    },
    "examples": [{"detail": "Resource not found"}],
}
SECURITY_SCHEME: JSON = {
    "description": "The `access_token` of a login or a refresh.",
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
}
KEY_SECURITY_SCHEME: JSON = {
    "description": "An API key, where an operation takes one.",
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "ost_…",
}
_INTERNAL_ERROR = "InternalServerError"
_VALIDATION_EXAMPLE = "Validation error message"
"""The contract's example of a 400. What is really said depends on what is wrong."""

_RULE_IDS = re.compile(r" \([A-Z]{2}-\d+(?:, [A-Z]{2}-\d+)*\)")
_VERBS = {"GET": "get", "POST": "create", "PUT": "replace", "PATCH": "update", "DELETE": "delete"}


def openapi_document(endpoints: Iterable[Endpoint], *, public_url: str | None) -> dict[str, Any]:
    """Describe endpoints in OpenAPI 3.1.

    `public_url` is the server that the document names. None names none, which means the one it was fetched from.
    """
    endpoints = tuple(endpoints)
    paths: dict[str, JSON] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    used = {endpoint.tag for endpoint in endpoints}
    document: JSON = {
        "openapi": "3.1.0",
        "info": {
            "title": "Ostiary API",
            "version": "1",  # of the API, as in its paths: nobody is told what release is running (HT-6)
            "description": DESCRIPTION,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url}],
        "tags": [{"name": name, "description": meaning} for name, meaning in TAGS.items() if name in used],
        "paths": paths,
        "components": {
            "schemas": _schemas(endpoints) | {"Error": ERROR_SCHEMA},
            "responses": _shared_responses(endpoints),
            "headers": HEADERS,
            "securitySchemes": {"bearer": SECURITY_SCHEME, "api_key": KEY_SECURITY_SCHEME},
        },
    }
    if public_url is None:
        del document["servers"]
    return document


def operation_id(endpoint: Endpoint) -> str:
    """Name an operation, as client generators will name the function.

    Declared, or made of method and path alone, which never change: `listUsers`, `createUser`, `getUser`; what
    is posted to a path that is no collection is called like the path's end: `login`, `logoutAll`.
    """
    if endpoint.name:
        return endpoint.name
    segments = [segment for segment in endpoint.path.split("/") if not segment.startswith("{")]
    first, *rest = re.split(r"[-_.]", segments[-1].removesuffix(".json"))
    noun = "".join([first, *(word.capitalize() for word in rest)])
    if endpoint.method == "POST" and not noun.endswith("s"):
        return noun
    if endpoint.answer is not None and "items" in endpoint.answer.model_fields:
        return f"list{noun[:1].upper()}{noun[1:]}"
    on_one = endpoint.method == "POST" or endpoint.path.endswith("}")
    noun = noun.removesuffix("s") if on_one else noun
    return f"{_VERBS[endpoint.method]}{noun[:1].upper()}{noun[1:]}"


def _operation(endpoint: Endpoint) -> JSON:
    operation: JSON = {"tags": [endpoint.tag], "summary": endpoint.summary, "operationId": operation_id(endpoint)}
    if endpoint.permission is not None:
        operation["description"] = f"Needs the permission `{endpoint.permission}`, which superusers always have."
    if endpoint.parameters:
        operation["parameters"] = [_parameter(parameter) for parameter in endpoint.parameters]
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(endpoint.body)}
    operation["responses"] = _responses(endpoint)
    operation["security"] = _security(endpoint)
    return operation


def _security(endpoint: Endpoint) -> list[JSON]:
    """Answer the credentials of which one is needed, each with what it must carry beside being good.

    OpenAPI 3.1 has room for that, for any kind of security.
    """
    if endpoint.access is Access.PUBLIC:
        return []
    scopes = [] if endpoint.permission is None else [endpoint.permission]
    return [{"bearer": scopes}, *([{"api_key": scopes}] if endpoint.takes_api_keys else [])]


def _parameter(parameter: Parameter) -> JSON:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.meaning,
        "required": parameter.place == "path",
        "schema": dict(parameter.schema),
    }


def _responses(endpoint: Endpoint) -> JSON:
    """Describe every answer of an operation, by status."""
    headers = _COUNTED if endpoint.is_limited else _ALWAYS
    responses = {endpoint.status: _success(endpoint, headers)}
    for status, (description, model, example) in endpoint.also.items():
        responses[status] = _response(description, headers, _content(model, example))
    for status, problems in _refusals(endpoint):
        shared = endpoint.is_limited and len(problems) == 1
        responses[status] = _ref("responses", problems[0].__name__) if shared else _refusal(problems, headers)
    responses[500] = _ref("responses", _INTERNAL_ERROR)
    return {str(status): responses[status] for status in sorted(responses)}


def _success(endpoint: Endpoint, headers: tuple[str, ...]) -> JSON:
    content = None if endpoint.answer is None else _content(endpoint.answer, media_type=endpoint.media_type)
    response = _response(_first_line(endpoint.answer) if endpoint.answer else "Done", headers, content)
    for name, meaning in endpoint.headers.items():
        response["headers"][name] = {"description": meaning, "schema": {"type": "string"}}
    return response


def _refusals(endpoint: Endpoint) -> list[tuple[int, list[type[Problem]]]]:
    """Answer the classes of all refusals by status: those that are declared, and those that follow."""
    problems = dict.fromkeys(endpoint.problems)
    if endpoint.body is not None:
        problems |= dict.fromkeys((InvalidInput, RequestTimeout, BodyTooLarge, UnsupportedMediaType))
    if endpoint.access is not Access.PUBLIC:
        problems[InvalidCredentials] = None
        if not endpoint.takes_api_keys:
            problems[SessionRequired] = None
    if endpoint.permission is not None:
        problems[Forbidden] = None
    if endpoint.access is Access.RECENT:
        problems[ReauthenticationRequired] = None
    if endpoint.is_limited:  # then a token is looked at, too, and for that the database is asked
        problems |= dict.fromkeys((RateLimited, InvalidCredentials, Unavailable))
    ordered = sorted(problems, key=_status_of)
    return [(status, list(group)) for status, group in groupby(ordered, key=_status_of)]


def _status_of(problem: type[Problem]) -> int:
    return problem.status


def _refusal(problems: list[type[Problem]], headers: tuple[str, ...]) -> JSON:
    """Describe one status; where it can have several causes, each has its example."""
    status = problems[0].status
    content: JSON = {"schema": _ref("schemas", "Error")}
    if len(problems) == 1:
        description = _first_line(problems[0])
        content["example"] = _problem_example(problems[0])
    else:
        description = "\n".join(f"- {_first_line(problem)}" for problem in problems)
        content["examples"] = {
            problem.code or HTTPStatus(status).name.lower(): {
                "summary": _first_line(problem),
                "value": _problem_example(problem),
            }
            for problem in problems
        }
    return _response(description, (*headers, *_OF_STATUS.get(status, ())), {"application/json": content})


def _problem_example(problem: type[Problem]) -> JSON:
    detail = _VALIDATION_EXAMPLE if problem is InvalidInput else problem.detail
    return {"detail": detail} if problem.code is None else {"detail": detail, "code": problem.code}


def _shared_responses(endpoints: Iterable[Endpoint]) -> JSON:
    """Describe the refusals that are the only ones of their status, once for all operations that give them."""
    problems = {
        problems[0].__name__: problems
        for endpoint in endpoints
        if endpoint.is_limited
        for _, problems in _refusals(endpoint)
        if len(problems) == 1
    }
    responses = {name: _refusal(problems[name], _COUNTED) for name in sorted(problems)}
    error = {"schema": _ref("schemas", "Error"), "example": {"detail": "Internal server error"}}
    responses[_INTERNAL_ERROR] = _response("Something that should not happen.", _ALWAYS, {"application/json": error})
    return responses


def _response(description: str, headers: tuple[str, ...], content: JSON | None) -> JSON:
    response: JSON = {"description": description, "headers": {name: _ref("headers", name) for name in headers}}
    if content is not None:
        response["content"] = content
    return response


def _content(model: type[BaseModel], example: object = None, media_type: str = "application/json") -> JSON:
    example = example or _example(model)
    return {media_type: {"schema": _ref("schemas", model.__name__)} | ({"example": example} if example else {})}


def _example(model: type[BaseModel]) -> object:
    extra = model.model_config.get("json_schema_extra")
    return extra.get("example") if isinstance(extra, dict) else None


def _ref(kind: str, name: str) -> JSON:
    return {"$ref": f"#/components/{kind}/{name}"}


def _first_line(described: type) -> str:
    """Answer what a class says of itself, without the numbers of our own rules."""
    return _RULE_IDS.sub("", (described.__doc__ or "").partition("\n")[0])


def _schemas(endpoints: Iterable[Endpoint]) -> JSON:
    """Describe all bodies, by the name of their model."""
    bodies = dict.fromkeys(endpoint.body for endpoint in endpoints if endpoint.body)
    answers = dict.fromkeys(endpoint.answer for endpoint in endpoints if endpoint.answer)
    answers |= dict.fromkeys(model for endpoint in endpoints for _, model, _ in endpoint.also.values())
    _, schemas = models_json_schema(
        [*((model, "validation") for model in bodies), *((model, "serialization") for model in answers)],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Schemas,
    )
    return dict(sorted(schemas.get("$defs", {}).items()))


class _Schemas(GenerateJsonSchema):
    """Schemas in the words of OpenAPI 3.1, without titles that only repeat names. Answers have no further members."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        """Leave titles out."""
        return False

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:  # noqa: ARG002
        """Keep the order in which members were declared."""
        return value

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Describe a model."""
        described = super().model_schema(schema)
        described.pop("title", None)
        if "example" in described:
            described["examples"] = [described.pop("example")]
        if self.mode == "serialization":
            described["additionalProperties"] = False
        return described
