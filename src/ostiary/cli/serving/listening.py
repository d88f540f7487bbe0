"""Taking the port: one socket for one process, and one for each where there are several."""

import socket
import sys

from ostiary.db import Misconfigured

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Take the port. Raises Misconfigured, with one line, where that is not possible."""
    return _listen(host, port, is_shared=False)


def listen_for_each(count: int, host: str, port: int) -> list[socket.socket]:
    """Take the port once for each of several processes: Linux spreads connections evenly over such sockets.

    Where all accept from one socket, whoever wakes first takes what there is: of 32 connections at once one of two
    processes got 27 on average, and 17 this way. Other systems do not spread, so there it is one socket for all.
    Raises Misconfigured.
    """
    first = _listen(host, port, is_shared=False)
    if sys.platform != "linux":
        return [first] * count
    # Nobody else had the port, or that would have failed; a shared one could also be taken beside another server.
    port = first.getsockname()[1]
    first.close()
    return [_listen(host, port, is_shared=True) for _ in range(count)]


def _listen(host: str, port: int, *, is_shared: bool) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise Misconfigured(
            f"cannot listen on {host} port {port}: {error.strerror or error}; "
            "choose another with --port or OSTIARY_PORT, --host or OSTIARY_HOST"
        ) from None
    return listener
