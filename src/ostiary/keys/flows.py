"""Flows on signing keys: adding, revoking, and holding an installation to its one secret."""

import json
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, delete, insert, select, update

from ostiary.audit.events import Event
from ostiary.audit.origin import SYSTEM, Origin
from ostiary.audit.recording import record
from ostiary.audit.sealing.chain import SealingKeys
from ostiary.audit.sealing.flows import reseal
from ostiary.crypto import jwk
from ostiary.crypto.sealed import Sealer
from ostiary.crypto.secret import Secret
from ostiary.db import Misconfigured
from ostiary.keys.models import StoredKey, all_keys, installation, signing_keys
from ostiary.keys.schedule import PUBLISHED_BEFORE_USE, KeyState, is_due, signing_key, state_of
from ostiary.problems import NotFound

_PLACE = {"table": "signing_keys", "column": "private_jwk"}


def add_key(
    connection: Connection, key: jwk.SigningKey, sealer: Sealer, *, at_once: bool, origin: Origin, now: datetime
) -> StoredKey:
    """Publish a key that was just made, to sign from now on or after the time that verifiers need to learn it.

    Where no key signs there is nothing to wait for.
    """
    keys = all_keys(connection)
    at_once = at_once or signing_key(keys, now=now) is None
    stored = StoredKey(
        kid=key.kid,
        number=max((other.number for other in keys), default=0) + 1,
        algorithm=key.algorithm,
        public_jwk=json.dumps(key.public_jwk(), separators=(",", ":")),
        sealed_private_jwk=_sealed(key.kid, json.dumps(key.private_jwk()).encode(), sealer),
        created_at=now,
        activates_at=now if at_once else now + PUBLISHED_BEFORE_USE,
        revoked_at=None,
    )
    values = {column.name: getattr(stored, column.name) for column in signing_keys.columns}
    connection.execute(insert(signing_keys).values(values))
    details = {"kid": key.kid, "algorithm": key.algorithm, "signs_from": stored.activates_at.isoformat()}
    record(connection, Event.SIGNING_KEY_PUBLISHED, origin, details=details, now=now)
    return stored


def add_key_if_due(connection: Connection, key: jwk.SigningKey, sealer: Sealer, *, now: datetime) -> StoredKey | None:
    """Publish a key where one is due."""
    if not is_due(all_keys(connection), algorithm=key.algorithm, now=now):
        return None
    return add_key(connection, key, sealer, at_once=False, origin=SYSTEM, now=now)


def revoke_key(
    connection: Connection, kid: str, successor: jwk.SigningKey, sealer: Sealer, *, origin: Origin, now: datetime
) -> StoredKey | None:
    """Refuse a key from now on; where it was the one that signs, its successor signs at once.

    A key that stopped signing never does so again: what leaked one may have leaked the one before. Answers the
    successor where it was needed. Raises NotFound for an unknown kid.
    """
    keys = all_keys(connection)
    if not any(key.kid == kid for key in keys):
        raise NotFound(f"There is no signing key {kid}")
    revoked = connection.execute(
        update(signing_keys)
        .where(signing_keys.c.kid == kid, signing_keys.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    if revoked.rowcount:
        record(connection, Event.SIGNING_KEY_REVOKED, origin, details={"kid": kid}, now=now)
    signer = signing_key(keys, now=now)
    if signer is not None and signer.kid != kid:
        return None
    return add_key(connection, successor, sealer, at_once=True, origin=origin, now=now)


def purge_keys(connection: Connection, *, now: datetime) -> None:
    """Remove keys that nothing can be checked with any more; revoked ones stay as a record."""
    keys = all_keys(connection)
    gone = [key.kid for key in keys if state_of(key, keys, now=now) is KeyState.RETIRED]
    if gone:
        connection.execute(delete(signing_keys).where(signing_keys.c.kid.in_(gone)))


def hold_to_secret(connection: Connection, secret: Secret, sealer: Sealer, *, now: datetime) -> None:
    """Bind a new installation to its secret, and refuse a node that comes with another.

    When the secret was changed (the old one being listed as previous), what rests sealed is sealed anew. Raises
    Misconfigured.
    """
    stored = connection.execute(select(installation.c.secret_fingerprint)).scalar()
    if stored == secret.fingerprint:
        return
    if stored is None:
        connection.execute(insert(installation).values(id=1, secret_fingerprint=secret.fingerprint, created_at=now))
        return
    if stored not in secret.fingerprints:
        raise Misconfigured(
            "the database belongs to another secret key: start with the one it was made with, or list that one in "
            "OSTIARY_SECRET_KEY_PREVIOUS while changing it"
        )
    for key in all_keys(connection):
        if sealer.needs_resealing(key.sealed_private_jwk):
            plain = sealer.open(key.sealed_private_jwk, row=key.kid, **_PLACE)
            connection.execute(
                update(signing_keys)
                .where(signing_keys.c.kid == key.kid)
                .values(sealed_private_jwk=_sealed(key.kid, plain, sealer))
            )
    connection.execute(update(installation).values(secret_fingerprint=secret.fingerprint))
    reseal(connection, SealingKeys(secret), now=now)
    record(connection, Event.SECRET_CHANGED, SYSTEM, now=now)


def unsealed(key: StoredKey, sealer: Sealer) -> dict[str, Any]:
    """Answer a key's private JWK. Raises SealBroken."""
    return cast("dict[str, Any]", json.loads(sealer.open(key.sealed_private_jwk, row=key.kid, **_PLACE)))


def _sealed(kid: str, plain: bytes, sealer: Sealer) -> bytes:
    return sealer.seal(plain, row=kid, **_PLACE)
