import asyncio
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import argon2
import pytest
from argon2 import extract_parameters
from argon2.low_level import Type, hash_secret

from ostiary.crypto import passwords
from ostiary.crypto.passwords import PasswordHasher, StoredPassword, Verification, available_cpus
from ostiary.problems import Unavailable

PEPPERS = {"2024": b"a" * 32, "2025": b"b" * 32}


def cheap(**options: Any) -> PasswordHasher:
    return PasswordHasher(**{"memory_kib": 8, "time_cost": 1, **options})


@pytest.fixture
def hasher() -> Iterator[PasswordHasher]:
    hasher = cheap()
    yield hasher
    hasher.close()


def hashed(hasher: PasswordHasher, password: str) -> StoredPassword:
    return asyncio.run(hasher.hash(password))


def verified(hasher: PasswordHasher, password: str, stored: StoredPassword | None) -> Verification:
    return asyncio.run(hasher.verify(password, stored))


class SteppingClock:
    """Every reading is half a second after the one before, so that one hash seems to take that long."""

    def __init__(self) -> None:
        self.reading = 0.0

    def monotonic(self) -> float:
        self.reading += 0.5
        return self.reading

    def now(self) -> Any:
        raise NotImplementedError


@pytest.mark.rule("PW-4")
def test_hashes_are_argon2id_phc_strings_at_the_default_parameters() -> None:
    hasher = PasswordHasher()
    stored = hashed(hasher, "correct horse")
    assert stored.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    parameters = extract_parameters(stored.password_hash)
    assert (parameters.type, parameters.salt_len, parameters.hash_len) == (Type.ID, 16, 32)
    assert verified(hasher, "correct horse", stored) == Verification(ok=True)
    hasher.close()


@pytest.mark.rule("PW-4")
def test_every_hash_has_its_own_salt(hasher: PasswordHasher) -> None:
    assert hashed(hasher, "same").password_hash != hashed(hasher, "same").password_hash


@pytest.mark.rule("PW-1", "PW-2")
@pytest.mark.parametrize(
    ("password", "other"),
    [
        pytest.param("secret words", "secret words ", id="trailing space"),
        pytest.param("secret words", "Secret words", id="case"),
        pytest.param("caf\u00e9 cafe", "cafe\u0301 cafe", id="composed and decomposed"),
        pytest.param("x" * 1023 + "a", "x" * 1023 + "b", id="last of 1,024 bytes"),
        pytest.param("😀" * 256, "😀" * 255, id="256 code points of 4 bytes"),
        pytest.param("before\0after", "before\0other", id="after a NUL"),
    ],
)
def test_bytes_are_hashed_as_they_are_to_the_last(hasher: PasswordHasher, password: str, other: str) -> None:
    stored = hashed(hasher, password)
    assert verified(hasher, password, stored).ok
    assert not verified(hasher, other, stored).ok


def test_what_could_never_be_verified_is_not_hashed(hasher: PasswordHasher) -> None:
    for password in ("\ud800", "x" * 1025):
        with pytest.raises(ValueError, match="never hashed"):
            hashed(hasher, password)


@pytest.mark.rule("PW-4")
@pytest.mark.parametrize("kind", [Type.I, Type.D, Type.ID])
@pytest.mark.parametrize("version", [16, 19])
def test_any_argon2_hash_is_verified_and_due_for_an_upgrade(hasher: PasswordHasher, kind: Type, version: int) -> None:
    foreign = hash_secret(b"imported", b"0123456789abcdef", 2, 16, 1, 24, kind, version).decode()
    assert verified(hasher, "imported", StoredPassword(foreign)) == Verification(ok=True, needs_rehash=True)
    assert verified(hasher, "wrong", StoredPassword(foreign)) == Verification(ok=False, reason="wrong password")


@pytest.mark.rule("PW-4")
@pytest.mark.parametrize("change", [{"memory_kib": 16}, {"time_cost": 2}, {"memory_kib": 16, "parallelism": 2}])
def test_other_parameters_ask_for_a_new_hash(hasher: PasswordHasher, change: dict[str, int]) -> None:
    stored = hashed(hasher, "secret words")
    successor = cheap(**change)
    assert not verified(hasher, "secret words", stored).needs_rehash
    assert verified(successor, "secret words", stored) == Verification(ok=True, needs_rehash=True)
    assert not verified(successor, "wrong", stored).needs_rehash
    successor.close()


class TestPepper:
    """PW-4: an optional key, held outside the database."""

    @pytest.fixture
    def peppered(self) -> Iterator[PasswordHasher]:
        hasher = cheap(peppers=PEPPERS, current_pepper="2025")
        yield hasher
        hasher.close()

    @pytest.mark.rule("PW-4")
    def test_a_hash_is_worth_nothing_without_its_pepper(self, hasher: PasswordHasher, peppered: PasswordHasher) -> None:
        stored = hashed(peppered, "secret words")
        assert stored.pepper_id == "2025"
        assert verified(peppered, "secret words", stored) == Verification(ok=True)
        assert not verified(hasher, "secret words", StoredPassword(stored.password_hash)).ok
        assert not verified(peppered, "secret words", StoredPassword(stored.password_hash, "2024")).ok

    @pytest.mark.rule("PW-4")
    def test_an_old_pepper_or_none_still_verifies_and_is_replaced(
        self, hasher: PasswordHasher, peppered: PasswordHasher
    ) -> None:
        old = cheap(peppers=PEPPERS, current_pepper="2024")
        for stored in (hashed(old, "secret words"), hashed(hasher, "secret words")):
            assert verified(peppered, "secret words", stored) == Verification(ok=True, needs_rehash=True)
        old.close()

    @pytest.mark.rule("PW-4")
    def test_an_unknown_pepper_matches_nothing(self, hasher: PasswordHasher, peppered: PasswordHasher) -> None:
        stored = hashed(peppered, "secret words")
        assert verified(hasher, "secret words", stored) == Verification(ok=False, reason="unknown pepper '2025'")

    @pytest.mark.parametrize("peppers", [{"2025": b"short"}, {}])
    def test_bad_peppers_stop_the_start(self, peppers: dict[str, bytes]) -> None:
        with pytest.raises(ValueError, match="pepper"):
            cheap(peppers=peppers, current_pepper="2025")


MALFORMED = [
    "",
    "plain",
    "$argon2id$",
    "$argon2id$v=19$m=8,t=1,p=1$",
    "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA",
    "$argon2id$v=19$m=x,t=1,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA",
    "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAA",
    "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
    "$argon2id$v=19$m=8,t=1,p=1$é$é",
    "\0",
]


@pytest.mark.rule("LG-2")
@pytest.mark.parametrize("password_hash", MALFORMED)
def test_a_malformed_stored_hash_matches_nothing_and_says_why(hasher: PasswordHasher, password_hash: str) -> None:
    verification = verified(hasher, "secret words", StoredPassword(password_hash))
    assert not verification.ok
    assert verification.reason.startswith("stored hash cannot be verified")


@pytest.mark.rule("LG-2")
def test_failures_of_every_kind_cost_one_hash_at_todays_parameters(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    todays = extract_parameters(hasher._nobody.password_hash)
    stored = hashed(hasher, "secret words")
    work: list[argon2.Parameters] = []
    real = argon2.low_level.verify_secret

    def verify_secret(hash: bytes, secret: bytes, type: Type) -> bool:  # noqa: A002 - argon2's own names
        try:
            return real(hash, secret, type)
        except argon2.exceptions.VerifyMismatchError:
            work.append(extract_parameters(hash.decode()))  # anything else failed before it had done any work
            raise

    monkeypatch.setattr("argon2._password_hasher.verify_secret", verify_secret)
    attempts: list[tuple[str, StoredPassword | None]] = [
        ("wrong", stored),
        ("secret words", None),
        ("\ud800", stored),
        ("x" * 1025, stored),
        ("x" * 1_000_000, None),
        ("secret words", StoredPassword(stored.password_hash, "gone")),
        *(("secret words", StoredPassword(malformed)) for malformed in MALFORMED),
    ]
    for password, candidate in attempts:
        work.clear()
        assert not verified(hasher, password, candidate).ok
        assert work == [todays], (password[:20], candidate)


@pytest.mark.rule("LG-2")
def test_nobody_knows_a_password_that_matches_no_user(hasher: PasswordHasher) -> None:
    for password in ("", "secret words", hasher._nobody.password_hash):
        assert not verified(hasher, password, None).ok


def test_a_machine_out_of_memory_is_no_wrong_password(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    def verify_secret(*_: object) -> bool:
        raise argon2.exceptions.VerificationError("Memory allocation error")

    stored = hashed(hasher, "secret words")
    monkeypatch.setattr("argon2._password_hasher.verify_secret", verify_secret)
    with pytest.raises(Unavailable):
        verified(hasher, "secret words", stored)


def test_a_stored_password_does_not_show_its_hash() -> None:
    assert "argon2" not in repr(StoredPassword("$argon2id$…", "2025"))


@pytest.mark.rule("PW-5")
def test_the_event_loop_goes_on_while_passwords_are_hashed() -> None:
    hasher = PasswordHasher()

    async def scenario() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        ticking = asyncio.create_task(tick())
        await asyncio.gather(*(hasher.hash("secret words") for _ in range(4 * available_cpus())))
        ticking.cancel()
        return ticks

    assert asyncio.run(scenario()) > 100, "a loop that waited for each hash would tick a few times"
    hasher.close()


@pytest.mark.rule("PW-5")
def test_the_pool_is_no_larger_than_the_processors(hasher: PasswordHasher) -> None:
    lock = threading.Lock()
    at_once = most_at_once = 0

    def work() -> None:
        nonlocal at_once, most_at_once
        with lock:
            at_once += 1
            most_at_once = max(most_at_once, at_once)
        time.sleep(0.002)
        with lock:
            at_once -= 1

    async def scenario() -> None:
        await asyncio.gather(*(hasher.run(work) for _ in range(8 * available_cpus())))

    assert available_cpus() <= (os.cpu_count() or 1)
    hasher._pool.other.mean_seconds = 0.0  # so that the queue takes them all, however many processors there are
    asyncio.run(scenario())
    assert 1 <= most_at_once <= available_cpus()


class Blocked:
    """A hasher on one processor whose only worker is held, with a clock by which every hash takes half a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "available_cpus", lambda: 1)
        self.hasher = cheap(clock=SteppingClock())
        self.began = threading.Event()
        self.go_on = threading.Event()

    async def hold(self) -> asyncio.Task[bool]:
        held = asyncio.create_task(self.hasher.run(self._work))
        await asyncio.to_thread(self.began.wait)
        return held

    async def queue(self, count: int) -> list[asyncio.Task[StoredPassword]]:
        tasks = [asyncio.create_task(self.hasher.hash("secret words")) for _ in range(count)]
        await asyncio.sleep(0)
        return tasks

    def _work(self) -> bool:
        self.began.set()
        return self.go_on.wait()


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Blocked]:
    blocked = Blocked(monkeypatch)
    yield blocked
    blocked.go_on.set()
    blocked.hasher.close()


@pytest.mark.rule("PW-5")
def test_the_queue_holds_two_seconds_of_work_and_refuses_the_rest_at_once(blocked: Blocked) -> None:
    async def scenario() -> None:
        held = await blocked.hold()
        waiting = await blocked.queue(4)  # half a second each
        assert blocked.hasher.waiting == 4
        for attempt in (
            blocked.hasher.hash("secret words"),
            blocked.hasher.verify("secret words", None),
            blocked.hasher.run(int),
        ):
            with pytest.raises(Unavailable) as refusal:
                await attempt  # would wait for ever if it were not refused, since the worker is held
            assert refusal.value.headers == {"Retry-After": "3"}
        blocked.go_on.set()
        await asyncio.gather(held, *waiting)
        assert blocked.hasher.waiting == 0
        assert await blocked.hasher.run(lambda: "again") == "again"

    asyncio.run(scenario())


@pytest.mark.rule("PW-5")
def test_a_caller_who_goes_away_frees_the_place_and_is_not_hashed(
    blocked: Blocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[bytes] = []

    def hash_(secret: bytes) -> StoredPassword:
        hashed.append(secret)
        return StoredPassword("")

    monkeypatch.setattr(blocked.hasher, "_hash", hash_)

    async def scenario() -> None:
        held = await blocked.hold()
        waiting = await blocked.queue(4)
        for task in waiting[:3]:
            task.cancel()
        await asyncio.gather(*waiting[:3], return_exceptions=True)
        await asyncio.sleep(0)
        assert blocked.hasher.waiting == 1
        waiting += await blocked.queue(3)
        assert blocked.hasher.waiting == 4
        blocked.go_on.set()
        await asyncio.gather(held, *waiting[3:])
        assert len(hashed) == 4

    asyncio.run(scenario())


@pytest.mark.rule("PW-5")
def test_a_caller_who_goes_away_during_the_work_frees_the_worker_when_it_ends(blocked: Blocked) -> None:
    async def scenario() -> None:
        held = await blocked.hold()
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
        blocked.go_on.set()
        assert await blocked.hasher.run(lambda: "served") == "served"

    asyncio.run(scenario())


@pytest.mark.rule("PW-5")
def test_the_queue_learns_how_long_work_takes_and_times_kinds_apart(blocked: Blocked) -> None:
    async def scenario() -> None:
        pool = blocked.hasher._pool
        pool.hashing.mean_seconds = pool.other.mean_seconds = 0.01
        for _ in range(50):
            await blocked.hasher.run(int)
        assert pool.other.mean_seconds == pytest.approx(0.5, rel=0.05)
        assert pool.hashing.mean_seconds == 0.01
        await blocked.hold()
        with pytest.raises(Unavailable):
            await asyncio.gather(*(blocked.hasher.run(int) for _ in range(5)))

    asyncio.run(scenario())


def test_work_may_fail_and_the_pool_goes_on(hasher: PasswordHasher) -> None:
    async def scenario() -> int:
        with pytest.raises(ZeroDivisionError):
            await hasher.run(divmod, 1, 0)
        return await hasher.run(int, "12", base=8)

    assert asyncio.run(scenario()) == 10


def test_closing_finishes_what_was_taken_and_takes_no_more(blocked: Blocked) -> None:
    async def scenario() -> None:
        held = await blocked.hold()
        waiting = await blocked.queue(2)
        blocked.go_on.set()
        blocked.hasher.close()
        assert await held
        assert len(await asyncio.gather(*waiting)) == 2
        with pytest.raises(Unavailable):
            await blocked.hasher.hash("secret words")

    asyncio.run(scenario())
