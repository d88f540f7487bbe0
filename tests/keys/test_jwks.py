"""The published keys: public parts only, and enough for anybody to verify an access token."""

import httpx
import jwt
import pytest

from ostiary.crypto.jwk import generate_key
from ostiary.keys.flows import unsealed
from ostiary.keys.models import all_keys
from tests.conftest import MakeServer
from tests.crypto.tokens import forge, unb64
from tests.keys.inside import kid_of, published, verify_outside
from tests.people import log_in, refresh, signed_in
from tests.server import Server
from tests.sessions.answers import claims_of, header_of, tokens_in
from tests.sessions.beside import rows, write

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
CLAIMS = ["iss", "sub", "aud", "iat", "exp", "jti", "sid", "token_use", "roles", "scope", "amr", "auth_time"]
ALGORITHMS = {
    "ES256": {"kty": "EC", "crv": "P-256"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
    "RS256": {"kty": "RSA"},
}


@pytest.mark.rule("SK-4")
def test_the_key_set_holds_public_parts_only_and_may_be_cached_for_a_minute(server: Server) -> None:
    answer = httpx.get(f"{server.url}/.well-known/jwks.json", trust_env=False)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "public, max-age=60"
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
        assert client.get(f"/users/{person.id}", headers=person.auth).status_code == 200
        refreshed, _ = tokens_in(refresh(client, person.refresh_token))
    now = int(server.clock.now().timestamp())
    for token in (person.access_token, refreshed):
        claims = verify_outside(server, token)
        assert list(claims) == CLAIMS
        assert claims | {"jti": "", "sid": ""} == {
            "iss": "http://localhost:8000",
            "sub": str(person.id),
            "aud": "https://api.example.com",
            "iat": now,
            "exp": now + 15 * 60,
            "jti": "",
            "sid": "",
            "token_use": "access",
            "roles": [],
            "scope": "",
            "amr": ["pwd"],
            "auth_time": now,
        }


def test_a_verifier_outside_refuses_what_we_did_not_sign(server: Server, client: httpx.Client) -> None:
    token = signed_in(client).access_token
    with pytest.raises(jwt.InvalidSignatureError):
        verify_outside(server, forge(header_of(token), claims_of(token), generate_key("ES256")))


@pytest.mark.rule("SK-1", "TK-8")
def test_ids_of_tokens_and_sessions_are_random(client: httpx.Client) -> None:
    person = signed_in(client)
    claims = [claims_of(each.access_token) for each in (person, *(log_in(client, person) for _ in range(3)))]
    for name in ("jti", "sid"):
        values = {str(each[name]) for each in claims}
        assert len(values) == len(claims)
        assert all(len(unb64(value)) * 8 >= 128 for value in values)


@pytest.mark.rule("TK-1")
def test_tokens_begin_as_the_contract_shows_and_are_short(client: httpx.Client) -> None:
    person = signed_in(client)
    for token in (person.access_token, person.refresh_token):
        assert list(header_of(token)) == ["typ", "alg", "kid"]
        assert token.startswith("eyJ0eXAiOiJKV1QiLCJhbGc")
        assert len(token) <= 4096


@pytest.mark.rule("SK-3", "SK-4")
def test_private_parts_rest_sealed(server: Server) -> None:
    [key] = write(server.settings, all_keys)
    private = unsealed(key, server.app.sealer)
    values = [value for row in rows(server.settings, "SELECT * FROM signing_keys") for value in row]
    stored = b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
    if server.settings.sqlite_file is not None:
        stored += b"".join(path.read_bytes() for path in server.settings.data_dir.rglob("*") if path.is_file())
    assert private["x"].encode() in stored, "the public part is there, so the place is the right one"
    assert private["d"].encode() not in stored
    assert unb64(private["d"]) not in stored


@pytest.mark.rule("TK-1")
def test_refresh_tokens_are_signed_with_a_key_that_is_not_published(server: Server) -> None:
    with server.client() as client:
        person = signed_in(client)
    assert kid_of(person.access_token) in published(server)
    assert kid_of(person.refresh_token) not in published(server)
    assert header_of(person.refresh_token)["alg"] == "HS256"


def test_the_key_set_is_read_without_a_token_and_with_head(server: Server) -> None:
    answer = httpx.head(f"{server.url}/.well-known/jwks.json", trust_env=False)
    assert (answer.status_code, answer.content) == (200, b"")
