"""Requests that schemathesis makes of the document, fitting and not: none brings an answer that is not in it."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.people import bearer, signed_in
from tests.reference.conformance import DOCUMENT
from tests.server import Server

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

# The same requests every time: what is new each time is found by chance, and blamed on whoever happens to commit.
bounded = settings(
    max_examples=25, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
fewer = settings(bounded, max_examples=8)
"""Without a token most calls see nothing of a request but that."""


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def token(server: Server) -> str:
    with server.client() as client:
        return signed_in(client).access_token


def check(case: schemathesis.Case[Any], server: Server, session: requests.Session, **options: Any) -> None:
    response = case.call(base_url=server.url, session=session, timeout=60, **options)
    case.validate_response(response, checks=CHECKS)
    if response.status_code >= 400:
        detail = response.json()["detail"]
        assert isinstance(detail, str)
        assert detail


@pytest.mark.rule("IN-2")
@SCHEMA.parametrize()
@fewer
def test_without_a_token(case: schemathesis.Case[Any], server: Server, session: requests.Session) -> None:
    check(case, server, session)


@pytest.mark.rule("IN-2")
@SCHEMA.parametrize()
@bounded
def test_with_a_token(case: schemathesis.Case[Any], server: Server, session: requests.Session, token: str) -> None:
    check(case, server, session, headers=bearer(token))
