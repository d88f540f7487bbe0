"""What links a row to the one before, and what seals the head: pure functions."""

import hashlib
import hmac
import json
from typing import NamedTuple

from ostiary.audit.models import AuditRow
from ostiary.audit.recording import personal_digest
from ostiary.crypto.secret import Secret
from ostiary.db.types import to_milliseconds

START = bytes(32)
"""The link before the very first row."""

_FORM = 1
"""Of what is hashed and sealed; a change of it needs another number, and the old one understood."""


class Head(NamedTuple):
    """Where the chain ends, and where it begins since retention has removed rows."""

    place: int = 0
    link: bytes = START
    start_place: int = 0
    """Of the last row that was removed."""
    start_link: bytes = START


class SealingKeys:
    """The keys of seals: the current secret's seals, those of previous secrets are still known."""

    def __init__(self, secret: Secret) -> None:
        self._keys = dict(zip(secret.fingerprints, secret.derive_all("audit"), strict=True))
        self.current = secret.fingerprint
        """The name of the key that seals."""

    def knows(self, name: str) -> bool:
        """Say whether a seal of this key can be checked."""
        return name in self._keys

    def seal(self, kind: str, *members: object, key: str | None = None) -> bytes:
        """Seal something of ours, with the current key unless another that is known is named."""
        text = json.dumps([_FORM, kind, *members], separators=(",", ":"))
        return hmac.new(self._keys[key or self.current], text.encode(), hashlib.sha256).digest()

    def seal_head(self, head: Head) -> bytes:
        """Seal where the chain ends and begins."""
        return self.seal("head", *_as_text(head))

    def holds_head(self, head: Head, seal: bytes, key: str) -> bool:
        """Say whether we have sealed this head."""
        return self.knows(key) and hmac.compare_digest(seal, self.seal("head", *_as_text(head), key=key))


def _as_text(head: Head) -> tuple[object, ...]:
    return head.place, head.link.hex(), head.start_place, head.start_link.hex()


def link_of(before: bytes, row: AuditRow, place: int) -> bytes:
    """Link a row at a place to the link before it. What is personal goes in as its digest, so that it may go."""
    members = [
        _FORM,
        place,
        row.id,
        to_milliseconds(row.at),
        row.event,
        row.actor_id,
        row.user_id,
        row.origin,
        row.request_id,
        row.details,
        row.personal_digest.hex(),
    ]
    return hashlib.sha256(before + json.dumps(members, separators=(",", ":")).encode()).digest()


def is_whole(row: AuditRow) -> bool:
    """Say whether the personal fields of a row are those of its digest, or were taken out."""
    if row.salt is None:
        return row.address is None and row.user_agent is None
    if row.address is None or row.user_agent is None:
        return False
    return hmac.compare_digest(personal_digest(row.salt, row.address, row.user_agent), row.personal_digest)
