"""Ports for servers of tests."""

import os
import secrets
import socket
from contextlib import ExitStack

# Below the range that the kernel takes for outgoing connections, so that a stopped server finds its port free again.
PORTS = range(20_000, 32_000)
SHARES = 8
_GIVEN: set[int] = set()


def free_port(in_a_row: int = 1) -> int:
    """Find a port nobody listens on, the first of so many, and give none twice.

    Not with `random`, which is seeded alike in all pytest workers; each of them has ports of its own.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SHARES
    share = PORTS[number * len(PORTS) // SHARES : (number + 1) * len(PORTS) // SHARES]
    while True:
        first = secrets.choice(share)
        wanted = range(first, first + in_a_row)
        if not _GIVEN.isdisjoint(wanted):
            continue
        with ExitStack() as stack:
            try:
                for port in wanted:
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            _GIVEN.update(wanted)
            return first
