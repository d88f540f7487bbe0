"""The floors: the least that each kind of work can cost on this machine.

`answer` is an ASGI application that does nothing; `python -m tools.bench.floors argon2 SECONDS` and
`… sqlite SECONDS FILE` print how often a second a bare verification or a bare indexed read is done.
"""

import os
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

BODY = b'{"id":1,"email":"user@example.com","username":"username","is_active":true,"is_superuser":false}'
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())],
}
REST = {"type": "http.response.body", "body": BODY}


async def answer(
    scope: dict[str, Any],  # noqa: ARG001 - the shape of an ASGI application
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer every request alike, having read it."""
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(REST)


def verifications(seconds: float) -> float:
    """Verify one Argon2id hash with our parameters, a thread for each core; answer how many a second."""
    import argon2  # noqa: PLC0415 - the bare answer does without, and so it loads nothing

    from ostiary.crypto.passwords import MEMORY_KIB, PARALLELISM, TIME_COST  # noqa: PLC0415 - the same

    hasher = argon2.PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=PARALLELISM)
    stored = hasher.hash("StrongPass123!")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    done = [0] * cores
    ends_at = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < ends_at:
            hasher.verify(stored, "StrongPass123!")
            done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(cores)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


def indexed_reads(seconds: float, file: str) -> float:
    """Read random users by id, one statement for each; answer how many a second."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    (most,) = connection.execute("SELECT max(id) FROM users").fetchone()
    chosen = [random.randint(1, most) for _ in range(10_000)]  # noqa: S311 - load, not secrets
    began, done = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        for user_id in chosen[:1000]:
            connection.execute("SELECT id, email, username FROM users WHERE id = ?", (user_id,)).fetchone()
        done += 1000
        chosen = chosen[1000:] + chosen[:1000]
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    kind, length, *place = sys.argv[1:]
    print(verifications(float(length)) if kind == "argon2" else indexed_reads(float(length), *place))
