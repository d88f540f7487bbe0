"""The two token formats: what is in them, how they are made, and what a presented one must show.

Access tokens are ES256 (or as set) and readable by anybody with our JWKS. Refresh tokens are HS256 and readable by
us alone; each is a function of what the session row stores, so that the successor can be made again for a retry,
byte for byte, while only its hash is kept.

Payloads are written by hand, since they are written so often: what is not quoted is a number, an id or a word of
ours, or a role's name, which holds nothing to quote.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ostiary.audit.origin import Origin
from ostiary.crypto import jose, jwk
from ostiary.crypto.opaque import new_id, same, token_hash
from ostiary.crypto.secret import Secret
from ostiary.keys.ring import KeyRing
from ostiary.problems import InvalidCredentials
from ostiary.sessions.models import Held, Session
from ostiary.sessions.rotation import Presented
from ostiary.web.permissions import PERMISSIONS, Rights

MOST_ACCEPTED = 8192
"""Accepted tokens that are remembered, about 1 KB each; the one longest known goes first."""

_KEY = "refresh-token"
_quote = json.encoder.encode_basestring
_NEXT = '","'


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login or a refresh answers."""

    access_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What an access token said, its signature, times and purpose being right."""

    session_id: str
    user_id: int


class _Accepted(NamedTuple):
    """An access token whose signature and claims were found good, and the seconds between which it is valid."""

    claims: AccessClaims
    valid_from: int
    expires_at: int


class Tokens:
    """Makes and reads the tokens of one installation."""

    def __init__(
        self, *, secret: Secret, ring: KeyRing, issuer: str, audience: str, access_lifetime_seconds: int
    ) -> None:
        self._ring = ring
        self._issuer = issuer
        self._audience = audience
        self._refresh_audience = f"{issuer}/api/v1/auth/refresh"
        self._quoted_issuer, self._quoted_audience = _quote(issuer), _quote(audience)
        self._quoted_refresh_audience = _quote(self._refresh_audience)
        self._access_lifetime_seconds = access_lifetime_seconds
        self._refresh_keys = [
            jwk.shared_key(key, kid) for key, kid in zip(secret.derive_all(_KEY), secret.fingerprints, strict=True)
        ]
        self._refresh_verifiers = jwk.key_ring(key.verification_key() for key in self._refresh_keys)
        # What was checked once about a whole token and time does not change; for one version of the key set (SK-4).
        self._accepted: dict[str, _Accepted] = {}
        self._accepted_version = -1

    def mint_access(self, held: Held, *, now: datetime) -> str:
        """Make an access token: the last thing that a login or refresh does."""
        session, (roles, rights) = held.session, held.granted
        issued_at = int(now.timestamp())
        expires_at = min(issued_at + self._access_lifetime_seconds, int(session.expires_at.timestamp()))
        payload = (
            f'{{"iss":{self._quoted_issuer},"sub":"{session.user_id}","aud":{self._quoted_audience},'
            f'"iat":{issued_at},"exp":{expires_at},"jti":"{new_id()}","sid":"{session.id}","token_use":"access",'
            f'"roles":{_list(roles)},"scope":"{_scope(rights)}","amr":["{session.amr.replace(" ", _NEXT)}"],'
            f'"auth_time":{int(session.authenticated_at.timestamp())}}}'
        )
        return jose.sign_payload(payload, self._ring.signer)

    def mint_refresh(self, session: Session) -> str:
        """Make the session's live refresh token, the same one each time for the same row."""
        return self._mint_refresh(
            self._refresh_keys[0], session, session.generation, session.rotated_at, session.refresh_expires_at
        )

    def mint_next_refresh(self, session: Session, *, now: datetime, expires_at: datetime) -> str:
        """Make the refresh token that a session is to have after the live one."""
        return self._mint_refresh(self._refresh_keys[0], session, session.generation + 1, now, expires_at)

    def remint_refresh(self, session: Session) -> str | None:
        """Make the live refresh token again as it was first handed out; None where that is not possible any more.

        It is not after the issuer's name changed, or a secret was taken out of `secret_key_previous`.
        """
        for key in self._refresh_keys:
            token = self._mint_refresh(key, session, session.generation, session.rotated_at, session.refresh_expires_at)
            if same(token_hash(token), session.refresh_hash):
                return token
        return None

    def _mint_refresh(
        self, key: jwk.SigningKey, session: Session, generation: int, issued_at: datetime, expires_at: datetime
    ) -> str:
        payload = (
            f'{{"iss":{self._quoted_issuer},"sub":"{session.user_id}","aud":{self._quoted_refresh_audience},'
            f'"iat":{int(issued_at.timestamp())},"exp":{int(expires_at.timestamp())},'
            f'"jti":"{session.id}.{generation}","sid":"{session.id}","token_use":"refresh","generation":{generation}}}'
        )
        return jose.sign_payload(payload, key)

    async def read_access(self, token: str, *, now: datetime) -> AccessClaims:
        """Check an access token. Raises InvalidCredentials.

        A token that was accepted before is only asked for its times. A key that this node has not heard of may have
        been made a moment ago by another: the ring is read again before the token is refused.
        """
        accepted = self._accepted.get(token) if self._accepted_version == self._ring.version else None
        if accepted is not None and accepted.valid_from <= now.timestamp() < accepted.expires_at:
            return accepted.claims
        try:
            try:
                claims = self._verify_access(token, now)
            except jose.UnknownKey:
                if not await self._ring.reread():
                    raise
                claims = self._verify_access(token, now)
        except jose.TokenRefused as refused:
            raise InvalidCredentials(reason=f"access token: {refused}") from None
        return self._accept(token, claims)

    def _accept(self, token: str, claims: jose.Claims) -> AccessClaims:
        """Remember a token that was found good."""
        accepted = AccessClaims(session_id=claims.sid, user_id=_user_id(claims))
        if self._accepted_version != self._ring.version:
            self._accepted, self._accepted_version = {}, self._ring.version
        elif len(self._accepted) >= MOST_ACCEPTED:
            del self._accepted[next(iter(self._accepted))]
        self._accepted[token] = _Accepted(accepted, claims.issued_at - jose.IAT_AHEAD_SECONDS, claims.expires_at)
        return accepted

    def _verify_access(self, token: str, now: datetime) -> jose.Claims:
        return jose.verify(
            token,
            self._ring.verifiers,
            issuer=self._issuer,
            audience=self._audience,
            token_use="access",  # noqa: S106 - a claim's value, not a secret
            now=now,
        )

    def read_refresh(self, token: str, *, origin: Origin, now: datetime) -> Presented:
        """Check all of a refresh token but whether it is live. Raises InvalidCredentials.

        One that expired is told by a mark: it may have been spent in time, and then it comes back as a retry or as
        a sign of theft, which the session's row decides.
        """
        try:
            members = jose.open_token(token, self._refresh_verifiers, typ="JWT")
            claims = jose.check_claims(
                members,
                issuer=self._issuer,
                audience=self._refresh_audience,
                token_use="refresh",  # noqa: S106 - a claim's value, not a secret
                now=_while_valid(members, now),
            )
        except jose.TokenRefused as refused:
            raise InvalidCredentials(reason=f"refresh token: {refused}") from None
        generation = claims.members.get("generation")
        if type(generation) is not int or generation < 0:
            raise InvalidCredentials(reason="refresh token: no generation")
        is_expired = now.timestamp() >= claims.expires_at
        return Presented(claims.sid, _user_id(claims), generation, token_hash(token), is_expired, origin)


def _list(names: tuple[str, ...]) -> str:
    return f'["{_NEXT.join(names)}"]' if names else "[]"


def _scope(rights: Rights) -> str:
    """Write what somebody may do as a scope (RFC 6749 §3.3)."""
    return " ".join(filter(rights.permissions.__contains__, PERMISSIONS)) if rights.permissions else ""


def _while_valid(members: Mapping[str, Any], now: datetime) -> datetime:
    """Answer the present moment, or for a token that has expired, the last second in which it was valid."""
    expires_at = members.get("exp")
    if type(expires_at) is int and 0 < expires_at <= now.timestamp():
        return datetime.fromtimestamp(expires_at - 1, UTC)
    return now


def _user_id(claims: jose.Claims) -> int:
    if not (claims.subject.isascii() and claims.subject.isdecimal()) or len(claims.subject) > 19:  # noqa: PLR2004
        raise InvalidCredentials(reason="token: sub is no user id")
    return int(claims.subject)
