"""What each key is at a moment, and when a new one is due: pure decisions on stored times (SK-4)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from ostiary.keys.models import StoredKey

PUBLISHED_BEFORE_USE = timedelta(hours=24)
"""How long verifiers elsewhere have to learn a new key before it signs."""
CHANGED_EVERY = timedelta(days=90)
KEPT_FOR_CHECKING = timedelta(hours=2)
"""After the next key took over: the longest that an access token may live by any setting (TK-3), and an hour more."""


class KeyState(StrEnum):
    """What a key is good for."""

    PUBLISHED = "published"
    SIGNING = "signing"
    CHECKING = "checking"
    RETIRED = "retired"
    REVOKED = "revoked"


def signing_key(keys: Sequence[StoredKey], *, now: datetime) -> StoredKey | None:
    """Answer the key that signs: of the active ones the newest."""
    active = [key for key in keys if key.revoked_at is None and key.activates_at <= now]
    return max(active, key=lambda key: (key.activates_at, key.number), default=None)


def state_of(key: StoredKey, keys: Sequence[StoredKey], *, now: datetime) -> KeyState:
    """Say what a key is, among all keys, at a moment."""
    if key.revoked_at is not None:
        return KeyState.REVOKED
    if key.activates_at > now:
        return KeyState.PUBLISHED
    if key is signing_key(keys, now=now):
        return KeyState.SIGNING
    replaced_at = min(
        (other.activates_at for other in keys if _comes_after(other, key) and other.activates_at <= now), default=now
    )
    # The successor may have been revoked since, and this one signed again meanwhile: its times say no more than this.
    return KeyState.CHECKING if now < replaced_at + KEPT_FOR_CHECKING else KeyState.RETIRED


def is_due(keys: Sequence[StoredKey], *, algorithm: str, now: datetime) -> bool:
    """Say whether a new key should be published now: by age, or because another algorithm was chosen."""
    newest = _newest(keys)
    if newest is None or newest.algorithm != algorithm:
        return True
    return now >= _due_at(newest)


def due_at(keys: Sequence[StoredKey]) -> datetime | None:
    """Say when age makes a new key due; None while there is none at all."""
    newest = _newest(keys)
    return None if newest is None else _due_at(newest)


def _newest(keys: Sequence[StoredKey]) -> StoredKey | None:
    return max((key for key in keys if key.revoked_at is None), key=lambda key: key.number, default=None)


def _due_at(newest: StoredKey) -> datetime:
    return newest.activates_at + CHANGED_EVERY - PUBLISHED_BEFORE_USE


def _comes_after(other: StoredKey, key: StoredKey) -> bool:
    return other.revoked_at is None and (other.activates_at, other.number) > (key.activates_at, key.number)
