"""Keys, claims and forgeries for the token tests."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, get_args

from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

from ostiary.crypto.jose import Claims, verify
from ostiary.crypto.jwk import Algorithm, SigningKey, generate_key, key_ring

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
PUBLIC_ALGORITHMS: tuple[Algorithm, ...] = ("ES256", "EdDSA", "RS256")
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ISSUER = "http://localhost:8000"
CLAIMS: Mapping[str, Any] = {
    "iss": ISSUER,
    "sub": "1",
    "aud": ISSUER,
    "iat": SECONDS,
    "exp": SECONDS + 900,
    "jti": "jti-1",
    "sid": "sid-1",
    "token_use": "access",
    "roles": ["admin"],
}


@cache
def key(algorithm: Algorithm) -> SigningKey:
    return generate_key(algorithm, kid=f"key-{algorithm}")


def accept(token: str, algorithm: Algorithm = "ES256", **expected: Any) -> Claims:
    """Verify as our own API would, with this one key in the ring."""
    purpose: dict[str, Any] = {"issuer": ISSUER, "audience": ISSUER, "token_use": "access", "now": NOW} | expected
    return verify(token, key_ring([key(algorithm).verification_key()]), **purpose)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def header(algorithm: str = "ES256", kid: Any = None, **more: Any) -> dict[str, Any]:
    return {"typ": "JWT", "alg": algorithm, "kid": f"key-{algorithm}" if kid is None else kid, **more}


def forge(head: Any, payload: Any, signer: SigningKey) -> str:
    """Sign anything, header included, with a real key; text and bytes are taken as they are."""
    parts = [part if isinstance(part, bytes) else _text(part).encode() for part in (head, payload)]
    signing_input = ".".join(b64(part) for part in parts)
    signature = JWSRegistry.algorithms[signer.algorithm].sign(signing_input.encode(), signer.material)
    return f"{signing_input}.{b64(signature)}"


def forge_with_shared(head: Any, payload: Any, secret: bytes) -> str:
    """Sign with HS256 and any bytes at all as the key."""
    return forge(head, payload, SigningKey("x", "HS256", OctKey(secret, secret)))


def _text(part: Any) -> str:
    return part if isinstance(part, str) else json.dumps(part)
