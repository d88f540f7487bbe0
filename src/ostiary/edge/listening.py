"""Taking the port: one socket for one process, and one for each where there are several."""

import socket
import sys

from ostiary.db import Misconfigured

BACKLOG = 2048

API = "listen", "--port or OSTIARY_PORT, --host or OSTIARY_HOST"
METRICS = "serve metrics", "OSTIARY_METRICS_PORT or OSTIARY_METRICS_HOST"
"""What a port is for, and what chooses another."""


def listen(host: str, port: int, *, purpose: tuple[str, str] = API, is_shared: bool = False) -> socket.socket:
    """Take the port; a shared one also beside others who share it, on Linux.

    Raises Misconfigured, with one line, where that is not possible.
    """
    does, chosen_by = purpose
    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared and sys.platform == "linux":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise Misconfigured(
            f"cannot {does} on {host} port {port}: {error.strerror or error}; choose another with {chosen_by}"
        ) from None
    return listener


def listen_for_each(count: int, host: str, port: int) -> list[socket.socket]:
    """Take the port once for each of several processes: Linux spreads connections evenly over such sockets.

    Where all accept from one socket, whoever wakes first takes what there is: of 32 connections at once one of two
    processes got 27 on average, and 17 this way. Other systems do not spread, so there it is one socket for all.
    Raises Misconfigured.
    """
    first = listen(host, port)
    if sys.platform != "linux":
        return [first] * count
    # Nobody else had the port, or that would have failed; a shared one could also be taken beside another server.
    port = first.getsockname()[1]
    first.close()
    return [listen(host, port, is_shared=True) for _ in range(count)]
