"""Holds answers against the OpenAPI document."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
from openapi_schema_validator import OAS31Validator

from ostiary.app import ENDPOINTS
from ostiary.web.endpoint import Endpoint
from ostiary.web.openapi import openapi_document, operation_id

DOCUMENT = openapi_document(ENDPOINTS, public_url=None)
BY_ID: dict[str, Endpoint] = {operation_id(endpoint): endpoint for endpoint in ENDPOINTS}

CONDITIONAL_HEADERS = {"Accept-Encoding", "Link", "X-Total-Capped"}


def operation(name: str) -> dict[str, Any]:
    endpoint = BY_ID[name]
    described: dict[str, Any] = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
    return described


def path_of(name: str, /, **values: object) -> str:
    """An operation's path with these parameters in their places, and 1 for all others."""
    return re.sub(r"\{(\w+)\}", lambda found: str(values.get(found[1], 1)), BY_ID[name].path)


def is_path_of(endpoint: Endpoint, path: str) -> bool:
    """Whether a path is one of an endpoint's: with a parameter it has many, some of them other endpoints' own too."""
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", endpoint.path.replace(".", r"\.")), path) is not None


def parameters_of(name: str) -> list[str]:
    """The names of the parameters in an operation's path."""
    return re.findall(r"\{(\w+)\}", BY_ID[name].path)


def documented_answers() -> list[tuple[str, int]]:
    """Every status of every operation."""
    return [(name, int(status)) for name in BY_ID for status in operation(name)["responses"]]


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference within the document."""
    if "$ref" not in part:
        return part
    found: dict[str, Any] = DOCUMENT
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def validate(schema: dict[str, Any], value: object) -> None:
    """Hold a value against a schema of the document."""
    mistakes = OAS31Validator(schema | {"components": DOCUMENT["components"]}).iter_errors(value)
    assert not [mistake.message for mistake in mistakes], f"{value!r} does not fit {schema}"


def assert_documented(response: httpx.Response, name: str) -> None:
    """Check that an operation may answer like this: status, headers, media type, members, code."""
    described = resolved(operation(name)["responses"].get(str(response.status_code), {}))
    assert described, f"{name} answers {response.status_code}, which is not documented: {response.text}"
    for header, reference in described["headers"].items():
        if header not in CONDITIONAL_HEADERS:
            assert header in response.headers, f"{name} {response.status_code} lacks {header}"
            schema, text = resolved(reference)["schema"], response.headers[header]
            validate(schema, int(text) if schema.get("type") == "integer" else text)
    if "content" not in described:
        assert response.content == b""
        return
    content = described["content"][response.headers["content-type"]]
    validate(content["schema"], response.json())
    if response.status_code >= 400 and content["schema"]["$ref"].endswith("/Error"):
        codes = {example.get("code") for example in examples_of(content)}
        assert response.json().get("code") in codes, f"{response.text}: this code is not documented"


def assert_refusal(response: httpx.Response) -> None:
    """Check what holds for every error under the API, documented or not (IN-2)."""
    assert response.headers["content-type"] == "application/json"
    detail = response.json()["detail"]
    assert isinstance(detail, str)
    assert detail


def examples_of(content: dict[str, Any]) -> list[Any]:
    """The examples of a media type, a parameter or a header, whichever way they are given."""
    examples = [example["value"] for example in content.get("examples", {}).values()]
    return [*examples, *([content["example"]] if "example" in content else [])]


def media_types() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body that the document describes, with its place."""
    for name in BY_ID:
        described = operation(name)
        bodies = {"request": described["requestBody"]} if "requestBody" in described else {}
        for place, body in (bodies | described["responses"]).items():
            for content in resolved(body).get("content", {}).values():
                yield f"{name} {place}", content
