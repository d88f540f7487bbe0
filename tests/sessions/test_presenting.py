"""How an access token is presented: one Authorization header, scheme Bearer in any spelling (RFC 6750 §2.1)."""

import json

import httpx
import pytest

from ostiary.crypto import base64url
from tests.conftest import MakeServer
from tests.people import Person, newcomer, signed_in
from tests.server import Server
from tests.sessions.answers import assert_refused


@pytest.fixture(scope="module")
def person(server: Server) -> Person:
    with server.client() as client:
        return signed_in(client)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_name_of_the_scheme_is_taken_in_any_case(client: httpx.Client, person: Person, scheme: str) -> None:
    answer = client.get(f"/users/{person.id}", headers={"Authorization": f"{scheme} {person.access_token}"})
    assert answer.status_code == 200


REFUSED_FORMS = {
    "empty": "",
    "no token": "Bearer",
    "no scheme": "{token}",
    "basic": "Basic {token}",
    "token as a scheme's parameter": "Bearer token={token}",
    "another scheme that ends alike": "XBearer {token}",
    "glued": "Bearer{token}",
    "colon": "Bearer: {token}",
    "tab": "Bearer\t{token}",
    "two tokens": "Bearer {token} {token}",
    "a list": "Bearer {token}, Bearer {token}",
    "a space inside": "Bearer {broken}",
    "quoted": 'Bearer "{token}"',
    "a character over 127": "Bearer {token}\xe9",
    "a full stop after it": "Bearer {token}.",
    "5 KiB": "Bearer {token}" + "A" * 5000,
}


@pytest.mark.rule("D3", "TK-2")
@pytest.mark.parametrize("form", REFUSED_FORMS.values(), ids=REFUSED_FORMS)
def test_every_other_form_is_refused(client: httpx.Client, person: Person, form: str) -> None:
    token = person.access_token
    value = form.format(token=token, broken=f"{token[:50]} {token[50:]}").encode("latin-1")
    for path in (f"/users/{person.id}", "/users", "/no-such-path"):
        assert_refused(client.get(path, headers={b"Authorization": value}))


@pytest.mark.rule("D3")
def test_two_headers_are_refused_though_each_is_good(client: httpx.Client, person: Person) -> None:
    value = f"Bearer {person.access_token}"
    for second in (value, "Bearer x", ""):
        headers = [("Authorization", value), ("Authorization", second)]
        assert_refused(client.get(f"/users/{person.id}", headers=headers))
        assert_refused(client.get(f"/users/{person.id}", headers=headers[::-1]))


@pytest.mark.parametrize("name", ["access_token", "token"])
def test_a_token_in_the_query_is_no_token(client: httpx.Client, person: Person, name: str) -> None:
    assert_refused(client.get(f"/users/{person.id}", params={name: person.access_token}))


@pytest.mark.rule("TK-2")
def test_payloads_are_what_a_json_writer_would_write(make_server: MakeServer) -> None:
    audience = 'urn:"quoted"\\\u00fc'
    server = make_server(token_audience=audience)
    with server.client() as client:
        person = signed_in(client)
        assert client.get(f"/users/{person.id}", headers=person.auth).status_code == 200
    refresh_audience = f"{server.settings.public_url}/api/v1/auth/refresh"
    for token, aud in ((person.access_token, audience), (person.refresh_token, refresh_audience)):
        payload = base64url.decode(token.split(".")[1].encode()).decode()
        claims = json.loads(payload)
        assert payload == json.dumps(claims, ensure_ascii=False, separators=(",", ":"))
        assert claims["aud"] == aud
    assert json.loads(base64url.decode(person.access_token.split(".")[1].encode()))["amr"] == ["pwd"]


@pytest.mark.rule("D3")
def test_a_bad_token_is_refused_where_none_is_needed(client: httpx.Client) -> None:
    body = newcomer()
    assert_refused(client.post("/users", json=body, headers={"Authorization": "Bearer x"}))
    assert client.post("/users", json=body).status_code == 201, "nobody was signed up by the refused request"
