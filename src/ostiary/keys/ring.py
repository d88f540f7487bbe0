"""The key ring: the keys of this moment as the process uses them, read again every few seconds.

A reading is one immutable snapshot with a version; a cache of checked signatures belongs to one version.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ostiary.clock import Clock
from ostiary.crypto import jwk
from ostiary.crypto.sealed import Sealer
from ostiary.db import Database
from ostiary.keys.flows import unsealed
from ostiary.keys.models import StoredKey, all_keys
from ostiary.keys.schedule import KeyState, due_at, signing_key, state_of

REREAD_AT_MOST_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """The keys as they were at one moment."""

    keys: tuple[StoredKey, ...]
    signers: Mapping[str, jwk.SigningKey]
    verifiers: Mapping[str, jwk.VerificationKey]
    jwks: bytes
    version: int


class KeyRing:
    """Gives out the signing key and the verification keys; empty until first read."""

    def __init__(self, db: Database, sealer: Sealer, clock: Clock) -> None:
        self._db = db
        self._sealer = sealer
        self._clock = clock
        self._reading: Reading | None = None
        self._reread_at = float("-inf")
        self._rereading: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    @property
    def signer(self) -> jwk.SigningKey:
        """The key that signs now: a key published earlier takes over at its moment without a reading.

        Where this node's clock is behind the one that a new installation's key was made by, or was stepped back, no
        key has begun yet; then the first that will signs already.
        """
        reading = self._current()
        return reading.signers[self._signing(reading).kid]

    @property
    def timetable(self) -> tuple[datetime, datetime | None]:
        """Since when the key signs that signs now, and when the next one is due."""
        reading = self._current()
        return self._signing(reading).activates_at, due_at(reading.keys)

    def _signing(self, reading: Reading) -> StoredKey:
        key = signing_key(reading.keys, now=self._clock.now())
        if key is None:
            key = min(reading.keys, key=lambda key: (key.activates_at, key.number), default=None)
        if key is None:
            raise RuntimeError("there is no signing key")
        return key

    @property
    def verifiers(self) -> Mapping[str, jwk.VerificationKey]:
        """Every key whose tokens are accepted, by kid."""
        return self._current().verifiers

    @property
    def jwks(self) -> bytes:
        """The published key set as JSON (RFC 7517 §5): public parts only."""
        return self._current().jwks

    @property
    def version(self) -> int:
        """A number that changes with every change of the set."""
        return self._current().version

    async def read(self) -> None:
        """Read the keys from the database. Raises Unreachable; then the last reading stays."""
        async with self._one_at_a_time:  # or else an earlier reading may come back after a later one
            self._take(tuple(await self._db.read(all_keys)))

    def _take(self, keys: tuple[StoredKey, ...]) -> None:
        now = self._clock.now()
        usable = tuple(key for key in keys if self._is_usable(key, keys, now))
        before = self._reading
        if before is not None and before.keys == usable:
            return
        known = {} if before is None else before.signers
        signers = {
            key.kid: known.get(key.kid) or jwk.SigningKey.from_jwk(unsealed(key, self._sealer)) for key in usable
        }
        public = [json.loads(key.public_jwk) for key in usable]
        self._reading = Reading(
            keys=usable,
            signers=signers,
            verifiers=jwk.key_ring(map(jwk.VerificationKey.from_jwk, public)),
            jwks=json.dumps({"keys": public}, separators=(",", ":")).encode(),
            version=0 if before is None else before.version + 1,
        )

    async def reread(self) -> bool:
        """Read again because a token names an unknown key, at most once a second; answer whether it was read.

        Whoever asks while it is being read waits for the same outcome. Raises Unreachable; then the next one tries.
        """
        if self._rereading is None:
            if self._clock.monotonic() - self._reread_at < REREAD_AT_MOST_EVERY_SECONDS:
                return False
            self._rereading = asyncio.create_task(self._reread())
        await asyncio.shield(self._rereading)
        return True

    async def _reread(self) -> None:
        try:
            await self.read()
            self._reread_at = self._clock.monotonic()
        finally:
            self._rereading = None

    def _is_usable(self, key: StoredKey, keys: tuple[StoredKey, ...], now: datetime) -> bool:
        state = state_of(key, keys, now=now)
        return state not in {KeyState.RETIRED, KeyState.REVOKED}

    def _current(self) -> Reading:
        if self._reading is None:
            raise RuntimeError("the key ring has not been read yet")
        return self._reading
