"""Access tokens that must not pass: each case takes what an attacker may know and answers a token."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey

from ostiary.crypto.jwk import SigningKey, generate_key
from tests.crypto.tokens import b64, forge, forge_with_shared, unb64
from tests.people import Person
from tests.server import Server
from tests.sessions.answers import claims_of, header_of, session_of

FOREIGN = generate_key("ES256")


@dataclass(frozen=True)
class Material:
    """A live token taken apart, the very key that signed it, and a stranger."""

    server: Server
    person: Person
    other: Person

    @property
    def token(self) -> str:
        return self.person.access_token

    @property
    def signer(self) -> SigningKey:
        """Held by no attacker: cases that use it show which single thing each refusal rests on."""
        return self.server.app.ring.signer

    @property
    def header(self) -> dict[str, Any]:
        return header_of(self.token)

    @property
    def claims(self) -> dict[str, Any]:
        return claims_of(self.token)

    @property
    def public_jwk(self) -> dict[str, Any]:
        """As the published key set shows it."""
        return self.signer.public_jwk()

    def signed(self, header: Any = None, claims: Any = None) -> str:
        """Signed by the right key."""
        return forge(header or self.header, claims or self.claims, self.signer)

    def head(self, **members: Any) -> str:
        """Rightly signed, with other members in the header."""
        return self.signed(header=self.header | members)

    def claim(self, **members: Any) -> str:
        """Rightly signed, with other claims."""
        return self.signed(claims=self.claims | members)


Case: TypeAlias = Callable[[Material], str]
V = TypeVar("V")


def _each(name: str, values: Iterable[V], make: Callable[[Material, V], str]) -> dict[str, Case]:
    """One case for each value."""

    def case(value: V) -> Case:
        return lambda material: make(material, value)

    return {f"{name} {value!r}"[:60]: case(value) for value in values}


def _pem(material: Material) -> bytes:
    key = ECKey.import_key(material.public_jwk).public_key
    assert isinstance(key, EllipticCurvePublicKey)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _der(material: Material) -> bytes:
    return base64.b64decode(b"".join(_pem(material).splitlines()[1:-1]))


def _hs256(material: Material, secret: bytes) -> str:
    head, claims = (json.dumps(part).encode() for part in (material.header | {"alg": "HS256"}, material.claims))
    signing_input = f"{b64(head)}.{b64(claims)}"
    return f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), 'sha256'))}"


def _unsigned(material: Material, algorithm: str) -> str:
    head = json.dumps(material.header | {"alg": algorithm}).encode()
    return f"{b64(head)}.{material.token.split('.')[1]}."


def _with_algorithm(material: Material, algorithm: str) -> str:
    return material.head(alg=algorithm)


def _text(material: Material, find: str, replacement: str, *, part: int) -> str:
    """Sign a token whose header (0) or claims (1) were changed as text."""
    parts = [json.dumps(material.header), json.dumps(material.claims)]
    assert find in parts[part]
    parts[part] = parts[part].replace(find, replacement, 1)
    return forge(parts[0], parts[1], material.signer)


def _resigned(material: Material, signature: bytes) -> str:
    return f"{material.token.rsplit('.', 1)[0]}.{b64(signature)}"


def _signature(material: Material) -> bytes:
    return unb64(material.token.rsplit(".", 1)[1])


def _der_signature(material: Material) -> bytes:
    """As most libraries write ECDSA signatures, where JWS wants r and s side by side."""
    raw = _signature(material)
    numbers = b"".join(_der_integer(raw[i : i + 32]) for i in (0, 32))
    return b"\x30" + bytes([len(numbers)]) + numbers


def _der_integer(raw: bytes) -> bytes:
    raw = raw.lstrip(b"\0")
    raw = b"\0" + raw if raw[0] & 0x80 else raw
    return b"\x02" + bytes([len(raw)]) + raw


def _other_last_character(token: str) -> str:
    """Change bits that decoding drops: 64 bytes leave 4 bits over in the 86th character."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    changed = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]
    assert unb64(changed.rsplit(".", 1)[1]) == unb64(token.rsplit(".", 1)[1])
    return changed


def _in_standard_base64(material: Material) -> str:
    token = material.claim(x="\u00ff\u00fe\u00fb~~~???>>>~~")
    changed = token.replace("-", "+").replace("_", "/")
    assert changed != token
    return changed


def _flattened(material: Material) -> str:
    protected, payload, signature = material.token.split(".")
    return json.dumps({"protected": protected, "payload": payload, "signature": signature}, separators=(",", ":"))


ALGORITHM: Mapping[str, Case] = {
    "HS256 under the public key as PEM": lambda m: _hs256(m, _pem(m)),
    "HS256 under the public key as PEM, stripped": lambda m: _hs256(m, _pem(m).strip()),
    "HS256 under the public key as DER": lambda m: _hs256(m, _der(m)),
    "HS256 under the public key as JWK": lambda m: _hs256(m, json.dumps(m.public_jwk).encode()),
    "HS256 under the key set": lambda m: _hs256(m, m.server.app.ring.jwks),
    "HS256 under x": lambda m: _hs256(m, unb64(m.public_jwk["x"])),
    "HS256 under nothing": lambda m: _hs256(m, b""),
    "HS256 under the refresh key, with its kid": lambda m: forge_with_shared(
        m.header | {"alg": "HS256", "kid": m.server.app.secret.fingerprint},
        m.claims,
        m.server.app.secret.derive("refresh-token"),
    ),
    **_each("alg", ("none", "None", "NONE", "nOnE", ""), _unsigned),
    "alg none, signature kept": lambda m: _unsigned(m, "none") + m.token.rsplit(".", 1)[1],
    **_each("over a good signature, alg", ("RS256", "EdDSA", "es256"), _with_algorithm),
    "alg a list": lambda m: m.head(alg=["ES256"]),
    "no alg": lambda m: _text(m, '"alg": "ES256", ', "", part=0),
}

HEADER: Mapping[str, Case] = {
    "crit empty": lambda m: m.head(crit=[]),
    "crit unknown": lambda m: m.head(crit=["b64"], b64=True),
    "crit of a known name": lambda m: m.head(crit=["exp"], exp=1),
    "jwk of the signer": lambda m: m.head(jwk=m.public_jwk),
    "jwk of a stranger who signs": lambda m: forge(
        m.header | {"jwk": FOREIGN.public_jwk(), "kid": FOREIGN.kid}, m.claims, FOREIGN
    ),
    "jku": lambda m: m.head(jku=f"{m.server.url}/.well-known/jwks.json"),
    "x5u": lambda m: m.head(x5u="https://example.com/x.pem"),
    "x5c": lambda m: m.head(x5c=[base64.b64encode(_der(m)).decode()]),
    "x5t": lambda m: m.head(x5t=b64(hashlib.sha1(_der(m)).digest())),
    "zip": lambda m: m.head(zip="DEF"),
    "cty": lambda m: m.head(cty="JWT"),
    "b64 false": lambda m: m.head(b64=False),
    "an unknown member": lambda m: m.head(x=1),
    "typ at+jwt": lambda m: m.head(typ="at+jwt"),
    "typ in lower case": lambda m: m.head(typ="jwt"),
    "typ a number": lambda m: m.head(typ=1),
    "no typ": lambda m: m.signed(header={"alg": "ES256", "kid": m.signer.kid}),
    "two algs": lambda m: _text(m, '"alg"', '"alg": "none", "alg"', part=0),
    "two kids": lambda m: _text(m, '"kid"', '"kid": "x", "kid"', part=0),
    "two typs": lambda m: _text(m, '"typ"', '"typ": "JWT", "typ"', part=0),
    "alg twice, once escaped": lambda m: _text(m, '"alg"', '"\\u0061lg": "ES256", "alg"', part=0),
    "a list": lambda m: m.signed(header=[m.header]),
    "a string": lambda m: m.signed(header='"JWT"'),
    "no JSON": lambda m: m.signed(header="JWT"),
    "a byte order mark": lambda m: m.signed(header=b"\xef\xbb\xbf" + json.dumps(m.header).encode()),
    "UTF-16": lambda m: m.signed(header=json.dumps(m.header).encode("utf-16")),
    "nested deeply": lambda m: m.signed(header="[" * 1000),
}

KIDS: tuple[Any, ...] = (
    1,
    0,
    None,
    True,
    [],
    {},
    "",
    "../../../../dev/null",
    "' OR '1'='1",
    "x" * 2000,
    "k\0",
    "\ud83d",
)

KEY: Mapping[str, Case] = {
    "a stranger's key under our kid": lambda m: forge(m.header, m.claims, FOREIGN),
    "a stranger's key under its own kid": lambda m: forge(m.header | {"kid": FOREIGN.kid}, m.claims, FOREIGN),
    "no kid": lambda m: m.signed(header={"typ": "JWT", "alg": "ES256"}),
    "the refresh key's kid": lambda m: m.head(kid=m.server.app.secret.fingerprint),
    **_each("kid", KIDS, lambda m, kid: m.head(kid=kid)),
    "kid with a space": lambda m: m.head(kid=f"{m.signer.kid} "),
    "signature of nothing": lambda m: _resigned(m, b""),
    "signature of zeros": lambda m: _resigned(m, bytes(64)),
    "signature cut": lambda m: _resigned(m, _signature(m)[:-1]),
    "signature longer": lambda m: _resigned(m, _signature(m) + b"\0"),
    "signature as DER": lambda m: _resigned(m, _der_signature(m)),
    "signature of another token": lambda m: _resigned(m, _signature(Material(m.server, m.other, m.person))),
    "claims of another token": lambda m: ".".join(
        (m.token.split(".")[0], m.other.access_token.split(".")[1], m.token.split(".")[2])
    ),
    "a digest for a signature": lambda m: _resigned(m, hmac.digest(_pem(m), m.token.encode(), "sha256")),
}

ENCODING: Mapping[str, Case] = {
    "empty": lambda _: ".",
    "dots": lambda _: "..",
    "padded": lambda m: m.token + "==",
    "padded inside": lambda m: m.token.replace(".", "=.", 1),
    "standard base64": _in_standard_base64,
    "other bits at the end": lambda m: _other_last_character(m.token),
    "two parts": lambda m: m.token.rsplit(".", 1)[0],
    "four parts": lambda m: m.token + ".",
    "five parts": lambda m: m.token + ".AA.AA",
    "a tab inside": lambda m: m.token[:40] + "\t" + m.token[40:],
    "JSON serialization": _flattened,
    "over 4 KiB": lambda m: forge(m.header, m.claims | {"x": "x" * 4096}, m.signer),
    "claims a list": lambda m: m.signed(claims=[m.claims]),
    "claims no JSON": lambda m: m.signed(claims="x"),
    "claims not UTF-8": lambda m: m.signed(claims=json.dumps(m.claims).encode()[:-1] + b',"x":"\xff"}'),
    "claims with NaN": lambda m: _text(m, '"scope": ""', '"scope": NaN', part=1),
    "claims with half a surrogate": lambda m: _text(m, '"scope": ""', '"scope": "\\ud800"', part=1),
    "claims with a comment": lambda m: m.signed(claims=json.dumps(m.claims) + "//"),
    **_each(
        "twice:",
        ("iss", "sub", "aud", "exp", "sid", "token_use"),
        lambda m, name: _text(m, f'"{name}"', f'"{name}": 0, "{name}"', part=1),
    ),
    "a member of a member twice": lambda m: _text(m, '"scope": ""', '"scope": {"a": 1, "a": 2}', part=1),
}


def _without(material: Material, name: str) -> str:
    return material.signed(claims={key: value for key, value in material.claims.items() if key != name})


def _now(material: Material) -> int:
    return int(material.server.clock.now().timestamp())


MISTYPED: Mapping[str, tuple[Any, ...]] = {
    "iss": (None, 1, True, ["http://localhost:8000"]),
    "sub": (None, 1, True, 1.0, ["1"], {"id": "1"}),
    "aud": (None, 1, ["http://localhost:8000"], {}),
    "iat": (None, "0", 0.0, True, [0]),
    "exp": (None, "99999999999", 99999999999.0, True, False, [99999999999], {}),
    "jti": (None, 1, True, ""),
    "sid": (None, 1, True, "", []),
    "token_use": (None, 1, True, ["access"]),
}

SUBJECTS = ("", " {}", "{} ", "+{}", "-{}", "{}.0", "0x{}", "{}e0", "\u0661", "{}\n", "9" * 19, "9" * 20, "9" * 2500)

CLAIMS: Mapping[str, Case] = {
    **_each("no", MISTYPED, _without),
    **_each(
        "mistyped:",
        [(name, value) for name, values in MISTYPED.items() for value in values],
        lambda m, member: m.claim(**{member[0]: member[1]}),
    ),
    "sub as a number": lambda m: m.claim(sub=m.person.id),
    "sub of somebody else": lambda m: m.claim(sub=str(m.other.id)),
    "sid of somebody else": lambda m: m.claim(sid=session_of(m.other)),
    "sid unknown": lambda m: m.claim(sid="A" * 22),
    **_each("sub", SUBJECTS, lambda m, sub: m.claim(sub=sub.format(m.person.id))),
    "iss of another place": lambda m: m.claim(iss="http://localhost:8001"),
    "iss with a slash": lambda m: m.claim(iss=m.claims["iss"] + "/"),
    "aud of another place": lambda m: m.claim(aud="https://example.com"),
    "aud of refresh tokens": lambda m: m.claim(aud=m.claims["iss"] + "/api/v1/auth/refresh"),
    "token_use refresh": lambda m: m.claim(token_use="refresh"),
    "token_use mfa": lambda m: m.claim(token_use="mfa"),
    "token_use in capitals": lambda m: m.claim(token_use="ACCESS"),
    "token_use with a space": lambda m: m.claim(token_use="access "),
    "exp now": lambda m: m.claim(exp=_now(m)),
    "exp a second ago": lambda m: m.claim(exp=_now(m) - 1),
    "exp in the past, negative": lambda m: m.claim(exp=-1),
    "exp beyond all time": lambda m: m.claim(exp=10**30),
    "iat in an hour": lambda m: m.claim(iat=_now(m) + 3600),
    "iat negative": lambda m: m.claim(iat=-1),
}
