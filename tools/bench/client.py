"""The load client for what wrk cannot do: `python -m tools.bench.client < work.json`, which prints JSON.

`closed`: every connection sends its next request when the answer is there, and takes the token of the answer into
that request. `open`: requests arrive by the clock, whether the server keeps up or not, and latency counts from the
moment at which a request was due.
"""

import asyncio
import json
import selectors
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from tools.bench.quantiles import latency_ms

MOST_CONNECTIONS = 2000
ANSWER_TIMEOUT_SECONDS = 30.0
UNAVAILABLE = "503"


@dataclass(slots=True)
class Tally:
    """Answers by status, with the seconds that each took."""

    taken: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    without_retry_after: int = 0

    def count(self, head: bytes, seconds: float) -> None:
        """Count one answer, by the head that it began with."""
        status = head[9:12].decode("ascii")
        self.taken[status].append(seconds)
        if status == UNAVAILABLE and b"\r\nretry-after: " not in head.lower():
            self.without_retry_after += 1


def request(head: str, body: str, token: str) -> bytes:
    """Write a request out, with the token where it belongs."""
    content = body.replace("{token}", token).encode()
    return f"{head.replace('{token}', token)}Content-Length: {len(content)}\r\n\r\n".encode() + content


def body_length(head: bytes) -> int:
    """Read how long the body of an answer is."""
    lowered = head.lower() + b"\r\n"
    at = lowered.find(b"\r\ncontent-length: ")
    if at < 0:
        raise SystemExit(f"an answer without Content-Length: {head!r}")
    return int(lowered[at + 18 : lowered.index(b"\r\n", at + 18)])


class Conversation:
    """One connection: its requests in turn, and the token that the last answer gave."""

    __slots__ = ("buffer", "requests", "sent_at", "sock", "take", "token")

    def __init__(self, work: dict[str, Any], place: dict[str, Any]) -> None:
        self.sock = socket.create_connection((work["host"], work["port"]), timeout=ANSWER_TIMEOUT_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests: Iterator[tuple[str, str]] = cycle((head, body) for head, body in place["requests"])
        self.token: str = place.get("token", "")
        self.take = work["take"].encode() if work.get("take") else b""
        self.buffer = b""
        self.sent_at = 0.0

    def send(self) -> None:
        """Send the next request."""
        content = request(*next(self.requests), self.token)
        self.sent_at = time.perf_counter()
        self.sock.sendall(content)

    def receive(self) -> bytes | None:
        """Take what has come; answer the head if the answer is whole."""
        data = self.sock.recv(65536)
        if not data:
            raise SystemExit("the server closed a connection")
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0 or len(self.buffer) < end + 4 + body_length(self.buffer[:end]):
            return None
        answer, self.buffer = self.buffer, b""
        if self.take:
            start = answer.find(self.take, end) + len(self.take)
            if start < len(self.take):
                raise SystemExit(f"an answer without {self.take!r}: {answer!r}")
            self.token = answer[start : answer.index(b'"', start)].decode("ascii")
        return answer[: end + 4]


def closed_loop(work: dict[str, Any]) -> dict[str, Any]:
    """Keep every connection busy for the given time, after a warm-up that is not counted."""
    selector = selectors.DefaultSelector()
    conversations = [Conversation(work, place) for place in work["connections"]]
    for conversation in conversations:
        selector.register(conversation.sock, selectors.EVENT_READ, conversation)
        conversation.send()
    tally = Tally()
    counts_from = time.perf_counter() + work["warmup"]
    ends_at = counts_from + work["seconds"]
    processor = None
    while (now := time.perf_counter()) < ends_at:
        if processor is None and now >= counts_from:
            processor = time.process_time()
        ready = selector.select(ANSWER_TIMEOUT_SECONDS)
        if not ready:
            raise SystemExit(f"no answer within {ANSWER_TIMEOUT_SECONDS:.0f} s")
        for key, _ in ready:
            conversation = key.data
            head = conversation.receive()
            if head is not None:
                now = time.perf_counter()
                if counts_from <= now < ends_at:
                    tally.count(head, now - conversation.sent_at)
                conversation.send()
    return outcome(tally, work["seconds"], time.process_time() - (processor or 0.0))


async def open_loop(work: dict[str, Any]) -> dict[str, Any]:
    """Send at the given rate, over as many connections as that takes."""
    tally = Tally()
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    made = 0
    requests = cycle([request(head, body, "") for head, body in work["requests"]])

    async def send(due: float, content: bytes) -> None:
        nonlocal made
        if not free:
            made += 1
            if made > MOST_CONNECTIONS:
                raise SystemExit(f"more than {MOST_CONNECTIONS} requests wait for their answers")
        reader, writer = free.pop() if free else await asyncio.open_connection(work["host"], work["port"])
        writer.write(content)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(body_length(head[:-4]))
        tally.count(head, time.perf_counter() - due)
        free.append((reader, writer))

    started = time.perf_counter()
    processor = time.process_time()
    async with asyncio.timeout(work["seconds"] + ANSWER_TIMEOUT_SECONDS), asyncio.TaskGroup() as group:
        for number in range(round(work["rate"] * work["seconds"])):
            due = started + number / work["rate"]
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(send(due, next(requests)))
    for _, writer in free:
        writer.close()
    return outcome(tally, time.perf_counter() - started, time.process_time() - processor)


def outcome(tally: Tally, seconds: float, processor_seconds: float) -> dict[str, Any]:
    """Say what came back."""
    return {
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "without_retry_after": tally.without_retry_after,
        "answers": {
            status: {"count": len(taken), "latency_ms": latency_ms(taken)} for status, taken in tally.taken.items()
        },
    }


def main() -> None:
    """Do the work that standard input describes."""
    work = json.load(sys.stdin)
    result = closed_loop(work) if work["mode"] == "closed" else asyncio.run(open_loop(work))
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
