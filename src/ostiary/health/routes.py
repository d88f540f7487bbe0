"""GET /health, and the two probes that orchestrators ask."""

from starlette.requests import Request
from starlette.responses import Response

from ostiary.health.schemas import Health, Probe
from ostiary.web.endpoint import Access, Endpoint, app_of
from ostiary.web.render import json_response


async def health(request: Request) -> Response:
    """Say whether the service and its database are well."""
    if await app_of(request).database_check.is_reachable():
        return json_response({"status": "healthy", "database": "healthy"})
    return json_response({"status": "unhealthy", "database": "unhealthy"}, 503)


async def livez(request: Request) -> Response:  # noqa: ARG001 - that it answers at all is the answer
    """Say that the process is up; does not depend on the database (FL-6)."""
    return json_response({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Say whether requests should be sent here: database reachable, schema current, and not about to stop."""
    app = app_of(request)
    if not app.departure.is_announced and await app.database_check.is_ready():
        return json_response({"status": "ok"})
    return json_response({"status": "unavailable"}, 503)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/health",
        health,
        Access.PUBLIC,
        tag="Health",
        summary="Check API health status",
        answer=Health,
        also={503: ("The database cannot be reached", Health, {"status": "unhealthy", "database": "unhealthy"})},
        is_limited=False,
        is_hot=True,
    ),
    Endpoint(
        "GET", "/livez", livez, Access.PUBLIC, tag="Health", summary="Process is up", answer=Probe, is_limited=False
    ),
    Endpoint(
        "GET",
        "/readyz",
        readyz,
        Access.PUBLIC,
        tag="Health",
        summary="Requests can be served",
        answer=Probe,
        also={503: ("Database away, its schema not current, or about to stop", Probe, {"status": "unavailable"})},
        is_limited=False,
    ),
)
