"""Password hashes: Argon2id in a pool of its own, with a bounded queue before it (PW-4, PW-5, LG-2).

Nothing here knows users. A caller asks for a hash or a verification and gets it, or a prompt refusal when the pool
has more waiting than it serves in two seconds.
"""

import asyncio
import hmac
import math
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from ostiary.clock import Clock, SystemClock
from ostiary.problems import Unavailable

MEMORY_KIB = 19_456
TIME_COST = 2
PARALLELISM = 1
"""The second pair of the OWASP set, all of equal strength (PW-4)."""

PEPPER_BYTES = 32
LONGEST_WAIT_SECONDS = 2.0
"""What the queue may hold, in time (PW-5)."""

_SALT_BYTES = 16
_TAG_BYTES = 32
_MAX_PASSWORD_BYTES = 1024
_WEIGHT_OF_LATEST = 0.1
"""In the moving averages of how long work takes: half of it from the last seven pieces."""

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
        clock: Clock | None = None,
    ) -> None:
        """Take the parameters of new hashes, all known peppers (32-byte keys by id), and the id of the one to use.

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
        self._pool = _Pool(
            workers=max(1, available_cpus() // parallelism),
            first_seconds=self._clock.monotonic() - started_at,
            clock=self._clock,
        )

    def check_room(self) -> None:
        """Raise Unavailable if a hash asked for now would be refused: cheaper to know before any other work."""
        self._pool.check_room(self._pool.hashing)

    async def hash(self, password: str) -> StoredPassword:
        """Hash a password under a fresh salt and the current pepper, its bytes as they are (PW-2).

        Raises Unavailable when too many wait, and ValueError for what could never be verified: unpaired surrogates or
        more than 1,024 bytes, which the checks before hashing refuse in better words.
        """
        secret = _presentable(password)
        if secret is None:
            raise ValueError("a password of this shape is never hashed")
        return await self._pool.run(self._pool.hashing, self._hash, secret)

    async def verify(self, password: str, stored: StoredPassword | None) -> Verification:
        """Compare a presented password with the stored one; None stands for no such user, or one without a password.

        Work is that of one hash of today's cost in every case where there is nothing to compare with: None, a pepper
        that is not known, a hash that cannot be read, a password that can never have been accepted (LG-2, D3). A hash
        with other parameters costs what it costs, until the next login upgrades it.

        Raises Unavailable when too many wait, or when the machine has no memory left to hash; nothing else.
        """
        return await self._pool.run(self._pool.hashing, self._verify, password, stored)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do other slow and pure work in the same pool, after what already waits there.

        Raises Unavailable when too many wait, and whatever the function raises.
        """
        return await self._pool.run(self._pool.other, function, *args, **kwargs)

    @property
    def waiting(self) -> int:
        """Count the pieces of work that wait, apart from those being done."""
        return self._pool.waiting

    def close(self) -> None:
        """Take no more work; return when what was taken is done, which is a matter of two seconds."""
        self._pool.close()

    def _hash(self, secret: bytes) -> StoredPassword:
        return StoredPassword(self._argon2.hash(self._peppered(secret, self._current_pepper)), self._current_pepper)

    def _verify(self, password: str, stored: StoredPassword | None) -> Verification:
        presented = _presentable(password)
        if stored is None:
            return self._not_ok("no password stored")
        if presented is None:
            return self._not_ok("password of a shape that is never accepted")
        if stored.pepper_id is not None and stored.pepper_id not in self._peppers:
            return self._not_ok(f"unknown pepper {stored.pepper_id!r}")
        try:
            self._argon2.verify(stored.password_hash, self._peppered(presented, stored.pepper_id))
            outdated = self._argon2.check_needs_rehash(stored.password_hash)
        except VerifyMismatchError:
            return Verification(ok=False, reason="wrong password")
        except (InvalidHashError, VerificationError, UnicodeEncodeError) as error:
            return self._not_ok(f"stored hash cannot be verified: {type(error).__name__}")
        return Verification(ok=True, needs_rehash=outdated or stored.pepper_id != self._current_pepper)

    def _not_ok(self, reason: str) -> Verification:
        """Refuse after the work of one comparison (LG-2)."""
        try:
            self._argon2.verify(self._nobody.password_hash, self._peppered(b"", self._nobody.pepper_id))
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


@dataclass(slots=True)
class _Lane:
    """One kind of work: how many pieces wait, and how long one takes."""

    mean_seconds: float
    waiting: int = 0


class _Pool:
    """Threads for pure work, and a queue that never holds more than two seconds of it.

    Two kinds of work are timed apart, or else many quick pieces would make room for too many slow ones.
    """

    def __init__(self, *, workers: int, first_seconds: float, clock: Clock) -> None:
        self.workers = workers
        self.hashing = _Lane(first_seconds)
        self.other = _Lane(first_seconds)
        self._clock = clock
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="hashing")
        self._lock = threading.Lock()
        self._busy = 0
        self._closed = False

    @property
    def waiting(self) -> int:
        return self.hashing.waiting + self.other.waiting

    async def run(self, lane: _Lane, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do one piece of work. A caller who is cancelled before it began gives its place back at once."""

        def work() -> T:
            started_at = self._started(lane)
            try:
                return function(*args, **kwargs)
            finally:
                self._finished(lane, self._clock.monotonic() - started_at)

        def gone(future: Future[T]) -> None:
            if future.cancelled():  # only possible before it began
                with self._lock:
                    lane.waiting -= 1

        with self._lock:
            self._admit(lane)
            future = self._executor.submit(work)
            lane.waiting += 1
        future.add_done_callback(gone)
        return await asyncio.wrap_future(future)

    def check_room(self, lane: _Lane) -> None:
        with self._lock:
            self._admit(lane)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._executor.shutdown()

    def _admit(self, lane: _Lane) -> None:
        """Raise Unavailable unless a worker is free or the queue has room. Needs the lock."""
        if self._closed:
            raise Unavailable(reason="password hashing is shut down")
        if self._busy + self.waiting < self.workers:
            return
        queued_seconds = sum(each.waiting * each.mean_seconds for each in (self.hashing, self.other))
        served_in_seconds = (queued_seconds + lane.mean_seconds) / self.workers
        if served_in_seconds > LONGEST_WAIT_SECONDS:
            raise Unavailable(
                reason=f"{self.waiting} wait for password hashing", retry_after_seconds=math.ceil(served_in_seconds)
            )

    def _started(self, lane: _Lane) -> float:
        with self._lock:
            lane.waiting -= 1
            self._busy += 1
        return self._clock.monotonic()

    def _finished(self, lane: _Lane, seconds: float) -> None:
        with self._lock:
            self._busy -= 1
            lane.mean_seconds += _WEIGHT_OF_LATEST * (seconds - lane.mean_seconds)
