"""What tests of keys ask of a running server: its published keys, and what an outside verifier makes of a token."""

import json
from typing import Any

import httpx
import jwt
from sqlalchemy import Connection

from ostiary.audit.origin import OPERATOR
from ostiary.crypto.jwk import generate_key
from ostiary.keys.flows import add_key, revoke_key
from ostiary.keys.models import StoredKey
from tests.server import NO_TLS, Server
from tests.sessions.answers import header_of
from tests.sessions.beside import write


def published(server: Server) -> dict[str, dict[str, Any]]:
    """The keys of the JWKS, by kid."""
    answer = httpx.get(f"{server.url}/.well-known/jwks.json", trust_env=False, verify=NO_TLS)
    assert answer.status_code == 200
    return {key["kid"]: key for key in answer.json()["keys"]}


def verify_outside(server: Server, token: str) -> dict[str, Any]:
    """Verify as a service elsewhere does: PyJWT, with the published keys only. (Time is the server's to judge here.)"""
    jwk = published(server)[str(header_of(token)["kid"])]
    claims: dict[str, Any] = jwt.decode(
        token,
        jwt.PyJWK.from_json(json.dumps(jwk)),
        algorithms=[jwk["alg"]],
        issuer=server.settings.public_url,
        audience=server.settings.token_audience,
        options={"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "sub", "sid", "jti"]},
    )
    return claims


def kid_of(token: str) -> str:
    return str(header_of(token)["kid"])


def rotate(server: Server, *, at_once: bool = False) -> StoredKey:
    """What `ostiary keys rotate [--now]` does, from beside the server."""

    def flow(connection: Connection) -> StoredKey:
        key = generate_key(server.settings.signing_algorithm)
        return add_key(connection, key, server.app.sealer, at_once=at_once, origin=OPERATOR, now=server.clock.now())

    return write(server.settings, flow)


def revoke(server: Server, kid: str) -> None:
    """What `ostiary keys revoke KID` does, from beside the server."""

    def flow(connection: Connection) -> None:
        key = generate_key(server.settings.signing_algorithm)
        revoke_key(connection, kid, key, server.app.sealer, origin=OPERATOR, now=server.clock.now())

    write(server.settings, flow)
