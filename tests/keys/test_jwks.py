"""The published keys: public parts only, and enough for anybody to verify an access token."""

import httpx
import pytest

from ostiary.keys.flows import unsealed
from ostiary.keys.models import all_keys
from tests.conftest import MakeServer
from tests.keys.inside import kid_of, published, verify_outside
from tests.people import refresh, signed_in
from tests.server import Server
from tests.sessions.beside import rows, write

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
ALGORITHMS = {
    "ES256": {"kty": "EC", "crv": "P-256"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
    "RS256": {"kty": "RSA"},
}


@pytest.mark.rule("SK-4")
def test_the_key_set_holds_public_parts_only_and_may_be_cached_for_minutes(server: Server) -> None:
    answer = httpx.get(f"{server.url}/.well-known/jwks.json", trust_env=False)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    [key] = published(server).values()
    assert set(key) == {"kty", "crv", "x", "y", "use", "alg", "kid"}
    assert (key["use"], key["alg"]) == ("sig", "ES256")


@pytest.mark.rule("TK-1", "TK-2")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_works_end_to_end_and_verifies_outside(make_server: MakeServer, algorithm: str) -> None:
    server = make_server(signing_algorithm=algorithm, token_audience="https://api.example.com")
    [key] = published(server).values()
    assert key.items() >= ALGORITHMS[algorithm].items()
    assert not PRIVATE_MEMBERS & set(key)
    with server.client() as client:
        person = signed_in(client)
        assert person.access_token.startswith("eyJ0eXAiOiJKV1QiLCJhbGc")
        claims = verify_outside(server, person.access_token)
        assert client.get(f"/users/{person.id}", headers=person.auth).status_code == 200
        assert refresh(client, person.refresh_token).status_code == 200
    now = int(server.clock.now().timestamp())
    assert {name: claims[name] for name in ("iss", "aud", "sub", "iat", "exp", "auth_time")} == {
        "iss": "http://localhost:8000",
        "aud": "https://api.example.com",
        "sub": str(person.id),
        "iat": now,
        "exp": now + 15 * 60,
        "auth_time": now,
    }
    assert (claims["token_use"], claims["amr"], claims["roles"], claims["scope"]) == ("access", ["pwd"], [], "")
    assert claims["sid"]
    assert claims["jti"]


@pytest.mark.rule("SK-3", "SK-4")
def test_private_parts_rest_sealed(server: Server) -> None:
    [key] = write(server.settings, all_keys)
    secret_part = unsealed(key, server.app.sealer)["d"]
    stored = rows(server.settings, "SELECT * FROM signing_keys")
    assert secret_part not in repr(stored)
    if server.settings.sqlite_file is not None:
        for file in server.settings.data_dir.iterdir():
            assert secret_part.encode() not in file.read_bytes(), file


@pytest.mark.rule("TK-1")
def test_refresh_tokens_are_signed_with_a_key_that_is_not_published(server: Server) -> None:
    with server.client() as client:
        person = signed_in(client)
    assert kid_of(person.access_token) in published(server)
    assert kid_of(person.refresh_token) not in published(server)


def test_the_key_set_is_read_without_a_token_and_with_head(server: Server) -> None:
    answer = httpx.head(f"{server.url}/.well-known/jwks.json", trust_env=False)
    assert (answer.status_code, answer.content) == (200, b"")
