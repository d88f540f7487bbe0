"""Each claim is required, of exactly its type, and right for the purpose (TK-2). The signatures here are all good."""

import json
from typing import Any

import pytest

from ostiary.crypto.jose import TokenRefused, sign

from .tokens import CLAIMS, SECONDS, accept, forge, header, key

TEXTS = ("iss", "aud", "sub", "jti", "sid", "token_use")
TIMES = ("iat", "exp")
MISSING = object()

NOT_TEXT = [MISSING, None, "", 1, True, 1.5, ["http://localhost:8000"], {"a": "b"}]
NOT_TIME = [
    MISSING,
    None,
    True,
    False,
    "1772366400",
    SECONDS + 0.5,
    float(SECONDS + 60),
    [SECONDS],
    -1,
    10**400,
    -(10**400),
]


def _changed(**changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not MISSING}
    return sign(claims, key("ES256"))


def _name(value: object) -> str:
    return "missing" if value is MISSING else repr(value)[:20]


@pytest.mark.parametrize("value", NOT_TEXT, ids=_name)
@pytest.mark.parametrize("claim", TEXTS)
@pytest.mark.rule("TK-2")
def test_text_claim_missing_empty_or_of_another_type(claim: str, value: object) -> None:
    with pytest.raises(TokenRefused):
        accept(_changed(**{claim: value}))


@pytest.mark.parametrize("value", NOT_TIME, ids=_name)
@pytest.mark.parametrize("claim", TIMES)
@pytest.mark.rule("TK-2")
def test_time_claim_missing_absurd_or_of_another_type(claim: str, value: object) -> None:
    with pytest.raises(TokenRefused):
        accept(_changed(**{claim: value}))


@pytest.mark.parametrize("claim", ["iss", "aud", "token_use"])
@pytest.mark.rule("TK-2")
def test_token_for_another_purpose(claim: str) -> None:
    for value in ("refresh", "http://localhost:8000/", "HTTP://localhost:8000", "http://localhost:8000 "):
        with pytest.raises(TokenRefused, match=f"another {claim}"):
            accept(_changed(**{claim: value}))


@pytest.mark.rule("TK-2")
def test_access_token_is_no_refresh_token() -> None:
    with pytest.raises(TokenRefused, match="another token_use"):
        accept(_changed(), token_use="refresh")


@pytest.mark.parametrize(
    "member",
    [
        '"iss":"http://localhost:8000"',
        '"\\u0069ss":"http://localhost:8000"',
        '"x":{"y":1,"y":1}',
        '"x":[{"y":1,"\\u0079":1}]',
        '"x":NaN',
        '"x":Infinity',
        '"x":-Infinity',
        '"x":1e999',
        '"x":"\\ud800"',
        '"\\udc00":1',
        '"x":"a\nb"',
        "'x':1",
        '"x":1,',
        '"x":01',
        '"x":' + "[" * 1200 + "]" * 1200,
        '"x":' + "[" * 2400,
        b'"x":"\xff"',
        b'"x":"\xed\xa0\x80"',
    ],
    ids=lambda member: repr(member[:24]),
)
@pytest.mark.rule("TK-2")
def test_member_that_is_not_strict_json(member: str | bytes) -> None:
    """Each stands beside good claims, so that nothing else is wrong with the token."""
    good = json.dumps(dict(CLAIMS)).removesuffix("}").encode()
    assert accept(forge(header(), good + b',"x":1}', key("ES256"))).members["x"] == 1
    raw = member if isinstance(member, bytes) else member.encode()
    with pytest.raises(TokenRefused, match="not strict JSON"):
        accept(forge(header(), good + b"," + raw + b"}", key("ES256")))


@pytest.mark.parametrize("wrap", ["[{}]", "\ufeff{}", "{} {}", '"{}"', "{}\0", "null", ""])
@pytest.mark.rule("TK-2")
def test_payload_that_is_no_json_object(wrap: str) -> None:
    payload = wrap.replace("{}", json.dumps(dict(CLAIMS)))
    with pytest.raises(TokenRefused):
        accept(forge(header(), payload, key("ES256")))
    with pytest.raises(TokenRefused):
        accept(forge(header(), payload.encode("utf-16"), key("ES256")))


def test_whole_characters_outside_the_first_plane_are_fine() -> None:
    payload = {**CLAIMS, "name": "😀"}
    assert "\\ud83d" in json.dumps(payload)
    assert accept(forge(header(), payload, key("ES256"))).members["name"] == "😀"
    assert accept(sign(payload, key("ES256"))).members["name"] == "😀"
