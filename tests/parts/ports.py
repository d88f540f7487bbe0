"""Ports for servers of tests."""

import secrets
import socket
from contextlib import ExitStack

# Below the range that the kernel takes for outgoing connections, so that a stopped server finds its port free again.
PORTS = range(20_000, 32_000)


def free_port(in_a_row: int = 1) -> int:
    """Find a port nobody listens on, the first of so many; not with `random`, seeded alike in all pytest workers."""
    while True:
        first = secrets.choice(PORTS)
        with ExitStack() as stack:
            try:
                for port in range(first, first + in_a_row):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
