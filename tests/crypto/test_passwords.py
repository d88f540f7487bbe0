import asyncio
import os
import threading
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


class Held:
    """Something for a thread to do until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, *_: object) -> StoredPassword:
        self.began.set()
        assert self.go_on.wait(30)
        return StoredPassword("")


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.go_on.set()


@pytest.mark.rule("PW-5")
def test_there_are_no_more_threads_than_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= available_cpus() <= (os.cpu_count() or 1)
    for processors, parallelism, processes, threads in ((3, 1, 1, 3), (4, 2, 1, 2), (1, 2, 1, 1), (5, 1, 2, 2)):
        monkeypatch.setattr(passwords, "available_cpus", lambda processors=processors: processors)
        hasher = cheap(memory_kib=16, parallelism=parallelism, processes=processes)
        assert hasher._hashers._count == threads
        hasher.close()


@pytest.mark.rule("PW-3", "PW-5")
def test_a_password_that_is_slow_to_judge_holds_up_no_login(hasher: PasswordHasher, held: Held) -> None:
    async def scenario() -> None:
        stored = await hasher.hash("secret words")
        judging = [asyncio.create_task(hasher.judge(held)) for _ in range(4)]
        await asyncio.to_thread(held.began.wait)
        assert hasher.waiting == 3
        for _ in range(4 * available_cpus()):
            assert (await asyncio.wait_for(hasher.verify("secret words", stored), 30)).ok
        held.go_on.set()
        await asyncio.gather(*judging)

    asyncio.run(scenario())


@pytest.mark.rule("PW-3", "PW-5")
def test_passwords_are_judged_one_at_a_time_and_two_seconds_of_them_wait(held: Held) -> None:
    hasher = cheap(clock=SteppingClock())  # by which everything takes half a second

    async def scenario() -> None:
        judging = [asyncio.create_task(hasher.judge(held))]
        await asyncio.to_thread(held.began.wait)
        judging += [asyncio.create_task(hasher.judge(held)) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as refusal:
            await asyncio.wait_for(hasher.judge(int), 30)
        assert refusal.value.headers == {"Retry-After": "3"}
        assert hasher.waiting == 4
        held.go_on.set()
        await asyncio.gather(*judging)

    asyncio.run(scenario())
    hasher.close()


@pytest.mark.rule("PW-5")
@pytest.mark.parametrize("flood", ["logins", "new passwords"])
def test_neither_logins_nor_new_passwords_keep_the_others_out(
    flood: str, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "available_cpus", lambda: 1)
    hasher = cheap(clock=SteppingClock())

    async def log_in() -> None:
        await hasher.verify("secret words", None)

    async def sign_up() -> None:
        await hasher.hash("secret words")

    many, one = (log_in, sign_up) if flood == "logins" else (sign_up, log_in)

    async def scenario() -> None:
        first = asyncio.create_task(many())
        await asyncio.to_thread(held.began.wait)
        flooding = [asyncio.create_task(many()) for _ in range(20)]
        await asyncio.sleep(0)
        assert hasher.waiting == 4
        other = asyncio.create_task(one())
        await asyncio.sleep(0)
        held.go_on.set()
        await other
        await first
        outcomes = await asyncio.gather(*flooding, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [type(None)] * 3 + [Unavailable] * 17

    for name in ("_verify", "_hash"):
        monkeypatch.setattr(hasher, name, held)
    asyncio.run(scenario())
    hasher.close()


def test_closing_finishes_what_was_taken_and_takes_no_more(held: Held) -> None:
    hasher = cheap()

    async def scenario() -> None:
        judging = asyncio.create_task(hasher.judge(held))
        hashing = asyncio.create_task(hasher.hash("secret words"))
        await asyncio.to_thread(held.began.wait)
        held.go_on.set()
        hasher.close()
        await judging
        await hashing
        with pytest.raises(Unavailable):
            await hasher.hash("secret words")
        with pytest.raises(Unavailable):
            await hasher.verify("secret words", None)
        with pytest.raises(Unavailable):
            await hasher.judge(int)

    asyncio.run(scenario())
