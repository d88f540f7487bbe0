"""The OpenAPI document by itself: valid, complete, and of one mind with the routes."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from ostiary.app import create_app
from ostiary.verification.pages.routes import page_endpoints
from ostiary.web.openapi import openapi_document
from tests.conftest import settings_for_tests
from tests.reference.conformance import BY_ID, DOCUMENT, documented_answers, examples_of, media_types, validate


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_is_an_operation_and_every_operation_a_route(tmp_path: Path) -> None:
    application = create_app(settings_for_tests(tmp_path, None, api_docs="off"))
    routes = [route for route in application.routes if isinstance(route, Route)]
    assert len(routes) == len(application.routes)
    routed = {(route.path, method) for route in routes for method in route.methods or ()}
    documented = {(path, method.upper()) for path, operations in DOCUMENT["paths"].items() for method in operations}
    heads = {(path, "HEAD") for path, method in documented if method == "GET"}
    pages = {(endpoint.path, method) for endpoint in page_endpoints() for method in endpoint.methods}
    assert routed == documented | heads | pages


def test_operations_keep_their_names() -> None:
    """Clients are generated with these: a name may be added, never changed."""
    assert len(BY_ID) == sum(len(operations) for operations in DOCUMENT["paths"].values())
    assert {
        "getHealth",
        "login",
        "refresh",
        "logout",
        "logoutAll",
        "createUser",
        "getUser",
        "listUsers",
        "setup",
        "getLivez",
        "getReadyz",
        "getJwks",
    } <= BY_ID.keys()


def test_every_tag_is_described() -> None:
    assert {tag["name"] for tag in DOCUMENT["tags"]} == {endpoint.tag for endpoint in BY_ID.values()}


def test_no_answer_is_the_one_that_fastapi_gives_by_default() -> None:
    assert not [name for name, status in documented_answers() if status == 422]


def test_examples_are_what_they_are_examples_of() -> None:
    bodies = list(media_types())
    for place, content in bodies:
        examples = examples_of(content)
        assert examples, f"{place} has no example"
        for example in examples:
            validate(content["schema"], example)
    assert len(bodies) > 50
    for name, header in DOCUMENT["components"]["headers"].items():
        assert "example" in header, name
        validate(header["schema"], header["example"])


def test_the_contracts_answers_have_its_members_in_its_order_and_no_others() -> None:
    members = {
        "Health": ["status", "database"],
        "TokenPairOut": ["access_token", "refresh_token", "token_type"],
        "UserOut": ["id", "email", "username", "is_active", "is_superuser", "created_at", "updated_at"],
        "UserPage": ["items", "total", "skip", "limit"],
    }
    for name, expected in members.items():
        schema = DOCUMENT["components"]["schemas"][name]
        assert list(schema["properties"]) == schema["required"] == expected
        assert list(schema["examples"][0]) == expected
        assert schema["additionalProperties"] is False


def test_the_server_is_the_public_url_or_where_the_document_came_from() -> None:
    document = openapi_document(BY_ID.values(), public_url="https://accounts.example.com")
    assert document["servers"] == [{"url": "https://accounts.example.com"}]
    assert "servers" not in DOCUMENT


@pytest.mark.rule("HT-6")
def test_the_document_does_not_tell_the_release() -> None:
    assert version("ostiary") not in json.dumps(DOCUMENT)
