"""Forged tokens, one by one. None is accepted."""

import json
import string
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc.jwk import ECKey, RSAKey

from ostiary.crypto.jose import TokenRefused, check_signature, sign
from ostiary.crypto.jwk import Algorithm, generate_key

from .tokens import (
    ALGORITHMS,
    CLAIMS,
    accept,
    b64,
    forge,
    forge_with_shared,
    header,
    key,
    unb64,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _refused(token: Any, algorithm: Algorithm = "ES256") -> None:
    """Refused by the whole check, and where the key could have been chosen by name, by the signature layer too."""
    with pytest.raises(TokenRefused):
        accept(token, algorithm)
    with pytest.raises(TokenRefused):
        check_signature(token, key(algorithm).verification_key())


def _good(algorithm: Algorithm = "ES256") -> list[str]:
    return sign(CLAIMS, key(algorithm)).split(".")


@pytest.mark.parametrize("form", ["PEM", "PEM without line end", "DER", "JWK", "x"])
@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
@pytest.mark.rule("TK-1")
def test_public_key_used_as_shared_secret(algorithm: Algorithm, form: str) -> None:
    material = key(algorithm).verification_key().material
    assert isinstance(material, ECKey | RSAKey)
    jwk = key(algorithm).public_jwk()
    secret = {
        "PEM": material.as_pem(),
        "PEM without line end": material.as_pem().rstrip(),
        "DER": material.as_der(),
        "JWK": repr(jwk).replace("'", '"').replace(" ", "").encode(),
        "x": unb64(jwk.get("x") or jwk["n"]),
    }[form]
    _refused(forge_with_shared(header("HS256", kid=f"key-{algorithm}"), CLAIMS, secret), algorithm)
    _refused(forge_with_shared(header(algorithm), CLAIMS, secret), algorithm)


@pytest.mark.parametrize("name", ["".join(letters) for letters in product(*zip("none", "NONE", strict=True))])
@pytest.mark.rule("TK-1")
def test_algorithm_none(name: str) -> None:
    _, payload, signature = _good()
    head = b64(f'{{"typ":"JWT","alg":"{name}","kid":"key-ES256"}}'.encode())
    _refused(f"{head}.{payload}.")
    _refused(f"{head}.{payload}.{signature}")
    _refused(f"{head}.{payload}")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.rule("TK-1")
def test_signature_empty_cut_or_of_another_token(algorithm: Algorithm) -> None:
    head, payload, signature = _good(algorithm)
    other = sign({**CLAIMS, "sub": "2"}, key(algorithm)).split(".")
    cut, longer = b64(unb64(signature)[:-1]), b64(unb64(signature) + b"\0")
    for wrong in ("", cut, longer, other[2], b64(bytes(len(unb64(signature))))):
        _refused(f"{head}.{payload}.{wrong}", algorithm)
    _refused(f"{head}.{other[1]}.{signature}", algorithm)


@pytest.mark.rule("TK-1")
def test_signature_by_another_key_of_the_same_name() -> None:
    for algorithm in ALGORITHMS:
        _refused(sign(CLAIMS, generate_key(algorithm, kid=f"key-{algorithm}")), algorithm)


ATTACKERS = generate_key("ES256", kid="key-ES256")
ATTACKERS_JWK = ATTACKERS.public_jwk()


@pytest.mark.parametrize(
    "more",
    [
        {"crit": []},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": True},
        {"b64": False},
        {"jwk": ATTACKERS_JWK},
        {"jku": "https://attacker.example/jwks.json"},
        {"x5c": ["MIIB"]},
        {"x5u": "https://attacker.example/cert.pem"},
        {"x5t": "x"},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"enc": "A128GCM"},
        {"extra": None},
        {"": ""},
    ],
    ids=lambda more: "+".join(more) or "empty name",
)
@pytest.mark.rule("TK-1")
def test_header_with_more_than_three_members(more: dict[str, Any]) -> None:
    _refused(forge({**header(), **more}, CLAIMS, key("ES256")))
    _refused(forge({**header(), **more}, CLAIMS, ATTACKERS))
    _refused(forge({**more, **header()}, CLAIMS, key("ES256")))


@pytest.mark.parametrize(
    "head",
    [
        '{"typ":"JWT","typ":"JWT","alg":"ES256","kid":"key-ES256"}',
        '{"typ":"JWT","alg":"none","alg":"ES256","kid":"key-ES256"}',
        '{"typ":"JWT","alg":"ES256","\\u0061lg":"ES256","kid":"key-ES256"}',
        '{"typ":"JWT","alg":"ES256","kid":"key-ES256","kid":"key-ES256"}',
        '{"typ":"JWT","alg":["ES256"],"kid":"key-ES256"}',
        '{"typ":"JWT","alg":null,"kid":"key-ES256"}',
        '{"typ":"JWT","alg":"es256","kid":"key-ES256"}',
        '{"typ":"JWT","alg":"ES384","kid":"key-ES256"}',
        '{"typ":"JWT","alg":"RS256","kid":"key-ES256"}',
        '{"typ":"JWT","alg":"","kid":"key-ES256"}',
        '{"typ":"JWT","alg":"ES256","kid":1}',
        '{"typ":"JWT","alg":"ES256","kid":["key-ES256"]}',
        '{"typ":"JWT","alg":"ES256","kid":{"a":1}}',
        '{"typ":"JWT","alg":"ES256","kid":null}',
        '{"typ":1,"alg":"ES256","kid":"key-ES256"}',
        '{"typ":"JWT","kid":"key-ES256"}',
        '["typ","alg","kid"]',
        '"alg"',
        "null",
        "{}",
        "{",
        "",
        b"\xff\xfe",
        "[" * 2500,
    ],
    ids=lambda head: repr(head)[:60],
)
@pytest.mark.rule("TK-1", "TK-2")
def test_header_that_is_not_ours(head: str | bytes) -> None:
    _refused(forge(head, CLAIMS, key("ES256")))


@pytest.mark.parametrize(
    "head",
    [
        {"typ": "jwt", "alg": "ES256", "kid": "key-ES256"},
        {"typ": "at+jwt", "alg": "ES256", "kid": "key-ES256"},
        {"alg": "ES256", "kid": "key-ES256"},
        {"typ": "JWT", "alg": "ES256"},
        header(kid="other"),
        header(kid=""),
        header(kid="key-es256"),
    ],
    ids=repr,
)
@pytest.mark.rule("TK-1", "TK-2")
def test_header_of_another_type_or_key(head: dict[str, str]) -> None:
    """The signature is right here: only the whole check refuses it."""
    with pytest.raises(TokenRefused):
        accept(forge(head, CLAIMS, key("ES256")))


def _with_trailing_bits(part: str) -> str:
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    return part[:-1] + alphabet[alphabet.index(part[-1]) + 1]


SPOILERS: dict[str, Callable[[str], str]] = {
    "padding": lambda part: part + "=" * (-len(part) % 4),
    "one padding character": lambda part: part + "=",
    "trailing bits": _with_trailing_bits,
    "space before": lambda part: " " + part,
    "space after": lambda part: part + " ",
    "line end": lambda part: part + "\n",
    "line end within": lambda part: part[:4] + "\r\n" + part[4:],
    "tab": lambda part: part[:4] + "\t" + part[4:],
    "NUL": lambda part: part + "\0",
    "character outside": lambda part: part[:4] + "?" + part[4:],
    "one character more": lambda part: part + "A",
    "full-width letter": lambda part: part[:-1] + chr(ord(part[-1]) + 0xFEE0),
    "surrogate": lambda part: part + "\ud800",
}


def _spoilable() -> list[str]:
    """Answer the parts of a good token, each with unused bits; the last two with characters of base64url alone."""
    texts = [json.dumps(part) for part in (header(), {**CLAIMS, "url": "??????"})]
    head, payload = (text + " " * ((1 - len(text)) % 3) for text in texts)
    parts = ["", "", ""]
    while "_" not in parts[2]:
        parts = forge(head, payload, key("ES256")).split(".")
    assert accept(".".join(parts)).subject == "1"
    return parts


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.rule("TK-2")
def test_base64url_that_is_not_canonical(position: int, spoil: Callable[[str], str]) -> None:
    parts = _spoilable()
    spoiled = spoil(parts[position])
    assert spoiled != parts[position]
    parts[position] = spoiled
    _refused(".".join(parts))


@pytest.mark.rule("TK-2")
def test_base64_in_the_standard_alphabet() -> None:
    head, payload, signature = _spoilable()
    assert "_" in payload
    assert "_" in signature
    _refused(f"{head}.{payload.replace('_', '/')}.{signature}")
    _refused(f"{head}.{payload}.{signature.replace('_', '/')}")


@pytest.mark.rule("TK-1", "TK-2")
def test_other_numbers_of_parts() -> None:
    head, payload, signature = _good()
    for token in (
        "",
        ".",
        "..",
        head,
        f"{head}.{payload}",
        f"{head}..{signature}",
        f".{payload}.{signature}",
        f"{head}.{payload}.{signature}.",
        f".{head}.{payload}.{signature}",
        f"{head}.{payload}.{signature}.{signature}",
        f"{head}.{payload}.{signature}.{signature}.{signature}",
        ".".join(b64(part) for part in (b'{"alg":"dir","enc":"A256GCM"}', b"", bytes(12), bytes(40), bytes(16))),
        f'{{"protected":"{head}","payload":"{payload}","signature":"{signature}"}}',
    ):
        _refused(token)


@pytest.mark.rule("TK-1")
def test_larger_than_4_kib() -> None:
    token = forge(header("HS256"), {**CLAIMS, "pad": "x" * 3000}, key("HS256"))
    assert len(token) > 4096
    _refused(token, "HS256")
    _refused("A" * 10_000_000, "HS256")


def test_not_even_text() -> None:
    values: list[Any] = [None, 1, b"a.b.c", ["a.b.c"], {}, ".".join(_good()).encode()]
    for value in values:
        _refused(value)


@pytest.mark.rule("TK-1")
def test_ecdsa_signature_in_another_form() -> None:
    head, payload, signature = _good()
    r, s = (int.from_bytes(unb64(signature)[half]) for half in (slice(32), slice(32, 64)))
    _refused(f"{head}.{payload}.{b64(encode_dss_signature(r, s))}")
    for wrong_r, wrong_s in product((0, 1, P256_ORDER - 1, P256_ORDER, 2**256 - 1), repeat=2):
        _refused(f"{head}.{payload}.{b64(wrong_r.to_bytes(32) + wrong_s.to_bytes(32))}")
    for wrong_r, wrong_s in ((0, s), (r, 0), (s, r)):
        _refused(f"{head}.{payload}.{b64(wrong_r.to_bytes(32) + wrong_s.to_bytes(32))}")
