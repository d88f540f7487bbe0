"""Password hashes: Argon2id in threads of its own, with a bounded queue before them (PW-4, PW-5, LG-2).

Nothing here knows users. A caller asks for a hash or a verification and gets it, or a prompt refusal when more wait
than are served in two seconds.
"""

import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from ostiary.clock import Clock, SystemClock
from ostiary.crypto.workers import Lane, Place, Workers
from ostiary.problems import Unavailable

MEMORY_KIB = 19_456
TIME_COST = 2
PARALLELISM = 1
"""The second pair of the OWASP set, all of equal strength (PW-4)."""

PEPPER_BYTES = 32

_SALT_BYTES = 16
_TAG_BYTES = 32
_MAX_PASSWORD_BYTES = 1024

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredPassword:
    """What the database keeps of a password."""

    password_hash: str = field(repr=False)
    """A PHC string."""
    pepper_id: str | None = None
    """Under which key the password was hashed before Argon2; None: under none."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer to one presented password."""

    ok: bool
    needs_rehash: bool = False
    """True only beside ok: the hash has other parameters, or another pepper, than a new one would have."""
    reason: str = ""
    """Why it is not ok, for the log; holds nothing of the password."""


class PasswordHasher:
    """Hashes and verifies passwords with Argon2id at fixed parameters, never in the event loop's thread.

    Verifying (logins) and hashing (new passwords) share the threads and the queue before them, and neither can keep
    the other out. Judging new passwords has a thread and a queue of its own.

    Building one makes a hash, which later stands in for users who have none and tells how fast this machine is.
    Any Argon2 hash is verified, whatever its kind and parameters; new ones have ours. One hasher serves any number
    of event loops. `close` it when the process ends.
    """

    def __init__(
        self,
        *,
        memory_kib: int = MEMORY_KIB,
        time_cost: int = TIME_COST,
        parallelism: int = PARALLELISM,
        peppers: Mapping[str, bytes] | None = None,
        current_pepper: str | None = None,
        processes: int = 1,
        clock: Clock | None = None,
    ) -> None:
        """Take the parameters of new hashes, all known peppers (32-byte keys by id), and the id of the one to use.

        `processes` is how many like this one share the processors: together they have no more threads than those.

        The clock times real work; where the wall clock is faked, leave this one out.

        Raises ValueError for a pepper of another length, or a current one that is not known.
        """
        self._peppers = dict(peppers or {})
        if any(len(key) != PEPPER_BYTES for key in self._peppers.values()):
            raise ValueError(f"a pepper is a key of {PEPPER_BYTES} bytes")
        if current_pepper is not None and current_pepper not in self._peppers:
            raise ValueError("the current pepper is not among the known ones")
        self._current_pepper = current_pepper
        self._argon2 = argon2.PasswordHasher(
            time_cost=time_cost,
            memory_cost=memory_kib,
            parallelism=parallelism,
            hash_len=_TAG_BYTES,
            salt_len=_SALT_BYTES,
        )
        self._clock = clock or SystemClock()
        started_at = self._clock.monotonic()
        self._nobody = self._hash(secrets.token_bytes(32))
        seconds = self._clock.monotonic() - started_at
        self._verifying, self._making, self._judging = Lane(seconds), Lane(seconds), Lane(seconds)
        self._hashers = Workers(
            "hashing",
            count=max(1, available_cpus() // (parallelism * processes)),
            lanes=(self._verifying, self._making),
            clock=self._clock,
        )
        # One thread: what judges passwords is Python, of which two threads do no more than one.
        self._judges = Workers("judging", count=1, lanes=(self._judging,), clock=self._clock)

    def place(self) -> AbstractContextManager[Place[Verification]]:
        """Keep a place for a verification that is certain to come, after other work: better refuse before that.

        Raises Unavailable when too many wait.
        """
        return self._hashers.place(self._verifying)

    async def hash(self, password: str) -> StoredPassword:
        """Hash a password under a fresh salt and the current pepper, its bytes as they are (PW-2).

        Raises Unavailable when too many wait, and ValueError for what could never be verified: unpaired surrogates or
        more than 1,024 bytes, which the checks before hashing refuse in better words.
        """
        secret = _presentable(password)
        if secret is None:
            raise ValueError("a password of this shape is never hashed")
        return await self._hashers.run(self._making, self._hash, secret)

    async def verify(
        self, password: str, stored: StoredPassword | None, *, place: Place[Verification] | None = None
    ) -> Verification:
        """Compare a presented password with the stored one; None stands for no such user, or one without a password.

        Work is that of one hash of today's cost in every case where there is nothing to compare with: None, a pepper
        that is not known, a hash that cannot be read, a password that can never have been accepted (LG-2, D3). A hash
        with other parameters costs what it costs, until the next login upgrades it.

        Raises Unavailable when too many wait, or when the machine has no memory left to hash; nothing else. With a
        place kept for it, that is: when so many wait that the place had to be taken back.
        """
        if place is None:
            return await self._hashers.run(self._verifying, self._verify, password, stored)
        return await self._hashers.run_at(place, self._verify, password, stored)

    async def judge(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Let a slow and pure function judge a new password, in a thread and a queue apart from all hashing.

        Raises Unavailable when too many wait, and whatever the function raises.
        """
        return await self._judges.run(self._judging, function, *args, **kwargs)

    @property
    def lanes(self) -> tuple[tuple[str, int, Lane], ...]:
        """Answer each kind of work: its name, how many threads may do it, and how it stands."""
        hashers, judges = self._hashers.threads, self._judges.threads
        return ("verify", hashers, self._verifying), ("hash", hashers, self._making), ("judge", judges, self._judging)

    @property
    def waiting(self) -> int:
        """Count what waits for a thread, apart from what is being done."""
        return self._hashers.waiting + self._judges.waiting

    def close(self) -> None:
        """Take no more work; return when what was taken is done, which is a matter of two seconds."""
        self._judges.close()
        self._hashers.close()

    def _hash(self, secret: bytes) -> StoredPassword:
        return StoredPassword(self._argon2.hash(self._peppered(secret, self._current_pepper)), self._current_pepper)

    def _verify(self, password: str, stored: StoredPassword | None) -> Verification:
        presented = _presentable(password)
        if presented is None:
            return self._not_ok(secrets.token_bytes(_SALT_BYTES), "password of a shape that is never accepted")
        if stored is None:
            return self._not_ok(presented, "no password stored")
        if stored.pepper_id is not None and stored.pepper_id not in self._peppers:
            return self._not_ok(presented, f"unknown pepper {stored.pepper_id!r}")
        try:
            self._argon2.verify(stored.password_hash, self._peppered(presented, stored.pepper_id))
            outdated = self._argon2.check_needs_rehash(stored.password_hash)
        except VerifyMismatchError:
            return Verification(ok=False, reason="wrong password")
        except (InvalidHashError, VerificationError, UnicodeEncodeError) as error:
            return self._not_ok(presented, f"stored hash cannot be verified: {type(error).__name__}")
        return Verification(ok=True, needs_rehash=outdated or stored.pepper_id != self._current_pepper)

    def _not_ok(self, secret: bytes, reason: str) -> Verification:
        """Refuse after the work of one comparison (LG-2).

        It is of what was presented, for Argon2id finds its way through memory by what it hashes: always the same
        comparison would take always the same way, and that may be half a millisecond shorter than most.
        """
        try:
            self._argon2.verify(self._nobody.password_hash, self._peppered(secret, self._nobody.pepper_id))
        except VerifyMismatchError:
            return Verification(ok=False, reason=reason)
        except VerificationError as error:  # our own hash is in order, so it is the machine that cannot
            raise Unavailable(reason=f"Argon2 failed: {error}") from error
        return Verification(ok=False, reason=reason)

    def _peppered(self, secret: bytes, pepper_id: str | None) -> bytes:
        """Give the bytes that Argon2 sees: HMAC-SHA-256 under the pepper, or the password alone."""
        return secret if pepper_id is None else hmac.digest(self._peppers[pepper_id], secret, "sha256")


def available_cpus() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no affinity


def _presentable(password: str) -> bytes | None:
    """Encode a password; None for one that cannot match, as no such password is ever accepted (PW-1, PW-2)."""
    try:
        encoded = password.encode()
    except UnicodeEncodeError:
        return None
    return encoded if len(encoded) <= _MAX_PASSWORD_BYTES else None
