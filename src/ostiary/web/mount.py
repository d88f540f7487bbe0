"""Putting endpoints behind their paths, and turning refusals into answers."""

import re
from collections.abc import Iterable
from http import HTTPStatus

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from ostiary.edge.requests import note_problem
from ostiary.problems import MethodNotAllowed, NotFound, Problem
from ostiary.web.access import guarded
from ostiary.web.endpoint import Endpoint
from ostiary.web.render import problem_response


def mount(application: FastAPI, endpoints: Iterable[Endpoint]) -> None:
    """Add endpoints to the application, and the handlers that turn refusals into answers."""
    for endpoint in endpoints:
        application.add_api_route(
            endpoint.path,
            guarded(endpoint),
            methods=list(endpoint.methods),
            name=endpoint.handler.__name__,
            response_model=None,
        )
    _match_whole_paths(application)
    application.add_exception_handler(Problem, _answer_problem)
    application.add_exception_handler(HTTPException, _answer_http_exception)


def _match_whole_paths(application: FastAPI) -> None:
    """Let routes match to the very end of a path: Starlette's `$` takes one that ends in a line feed for the same."""
    for route in application.routes:
        if isinstance(route, Route):
            route.path_regex = re.compile(route.path_regex.pattern.removesuffix("$") + r"\Z")


async def _answer_problem(request: Request, problem: Exception) -> Response:
    if not isinstance(problem, Problem):
        raise problem
    note_problem(request.scope, problem)
    return problem_response(problem)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """Say in the contract's words what the router found wrong: no such path, or not this method."""
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        methods = ", ".join(sorted(_methods_of(request)))
        return await _answer_problem(request, MethodNotAllowed(headers={"Allow": methods}))
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.NOT_FOUND:
        return await _answer_problem(request, NotFound(reason="no such path"))
    raise error


def _methods_of(request: Request) -> set[str]:
    """Answer every method of the path asked for, over all routes that match it (RFC 9110 §10.2.1)."""
    methods: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return methods
