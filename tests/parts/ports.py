"""Ports for servers of tests."""

import secrets
import socket
from contextlib import suppress

# Below the range that the kernel takes for outgoing connections, so that a stopped server finds its port free again.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Find a port nobody listens on; not with `random`, which is seeded alike in all pytest workers."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as attempt, suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            return port
