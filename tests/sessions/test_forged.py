"""Tokens that nobody of ours made, or made for this: all refused alike, over HTTP, by the API itself."""

from collections.abc import Mapping

import httpx
import pytest

from ostiary.crypto.jose import sign
from ostiary.crypto.jwk import shared_key
from tests.people import bearer, refresh, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused, claims_of, session_of, tokens_in, works
from tests.sessions.beside import why_revoked
from tests.sessions.forging import ALGORITHM, CLAIMS, ENCODING, HEADER, KEY, Case, Material


@pytest.fixture(scope="module")
def material(server: Server) -> Material:
    with server.client() as client:
        return Material(server, signed_in(client), signed_in(client))


@pytest.mark.rule("D3", "TK-1", "TK-2")
@pytest.mark.parametrize(
    "cases", [ALGORITHM, HEADER, KEY, ENCODING, CLAIMS], ids=["algorithm", "header", "key", "encoding", "claims"]
)
def test_no_forged_access_token_is_accepted(
    client: httpx.Client, material: Material, cases: Mapping[str, Case]
) -> None:
    accepted, broken = [], []
    for name, forged in cases.items():
        token = forged(material)
        answer = client.get(f"/users/{material.person.id}", headers=bearer(token))
        if answer.status_code >= 500:
            broken.append(name)
        elif answer.status_code != 401:
            accepted.append(name)
        else:
            assert_refused(answer)
        assert_refused(refresh(client, token))
    assert (accepted, broken) == ([], [])


def test_the_same_means_make_a_token_that_is_accepted(client: httpx.Client, material: Material) -> None:
    """Or else the forgeries might be refused for something that was not meant."""
    assert works(client, material.signed())
    assert works(client, material.claim(jti="another", x={"unknown": [1, None]}))
    assert works(client, material.claim(exp=material.claims["exp"] + 3600))


@pytest.mark.rule("D3", "TK-1", "TK-2")
def test_no_forged_refresh_token_is_accepted_and_none_does_harm(server: Server, client: httpx.Client) -> None:
    person, other = signed_in(client), signed_in(client)
    _, live = tokens_in(refresh(client, person.refresh_token))
    server_key = shared_key(server.app.secret.derive("refresh-token"), server.app.secret.fingerprint)
    claims = claims_of(live)
    assert sign(claims, server_key) == live, "the means are right"
    forged = [
        claims | changed
        for changed in (
            {"generation": 2},
            {"generation": 2**40},
            {"generation": -1},
            {"generation": True},
            {"generation": "1"},
            {"generation": 1.0},
            {"generation": None},
            {"sub": claims_of(other.refresh_token)["sub"]},
            {"sid": session_of(other)},
            {"sid": "unknown"},
            {"jti": "another"},
            {"iss": "http://localhost:8001"},
            {"aud": claims["iss"]},
            {"token_use": "access"},
            {"exp": claims["exp"] + 1},
            {"exp": 10**30},
            {"exp": -1},
            {"exp": True},
            {"exp": str(claims["exp"])},
            {"iat": claims["iat"] + 3600},
        )
    ]
    tokens = [sign(each, server_key) for each in forged]
    tokens += [sign({name: value for name, value in claims.items() if name != gone}, server_key) for gone in claims]
    tokens += [sign(claims, shared_key(bytes(32), server_key.kid)), sign(claims, server.app.ring.signer)]
    for token in tokens:
        assert_refused(refresh(client, token))
    assert why_revoked(server.settings, session_of(person)) is None
    assert why_revoked(server.settings, session_of(other)) is None
    tokens_in(refresh(client, live))


@pytest.mark.rule("D3", "TK-2")
def test_a_stranger_cannot_end_a_session_with_a_forged_spent_token(server: Server, client: httpx.Client) -> None:
    """Ending a family takes a token that we signed; who merely knows ids cannot sign anybody out."""
    person = signed_in(client)
    _, live = tokens_in(refresh(client, person.refresh_token))
    _, live = tokens_in(refresh(client, live))
    spent = claims_of(person.refresh_token)
    for key in (shared_key(bytes(range(32)), server.app.secret.fingerprint), server.app.ring.signer):
        assert_refused(refresh(client, sign(spent, key)))
    tokens_in(refresh(client, live))
