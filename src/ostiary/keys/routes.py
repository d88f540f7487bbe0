"""GET /.well-known/jwks.json: the public keys with which anybody verifies our access tokens (RFC 7517)."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from ostiary.web.endpoint import Access, Endpoint, app_of

# No longer: an emergency change is effective within a minute, in caches too (SK-4).
_HEADERS = {"Cache-Control": "public, max-age=60"}


class KeySet(BaseModel):
    """A JSON Web Key Set, public parts only."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "keys": [
                    {"kty": "EC", "crv": "P-256", "x": "…", "y": "…", "use": "sig", "alg": "ES256", "kid": "…"},
                ]
            }
        }
    )

    keys: list[dict[str, Any]]


async def jwks(request: Request) -> Response:
    """Answer the keys that sign now, will sign, or signed what is still valid."""
    return Response(app_of(request).ring.jwks, headers=_HEADERS, media_type="application/json")


ENDPOINTS = (
    Endpoint(
        "GET",
        "/.well-known/jwks.json",
        jwks,
        Access.PUBLIC,
        tag="Keys",
        summary="Public keys that verify access tokens",
        answer=KeySet,
    ),
)
