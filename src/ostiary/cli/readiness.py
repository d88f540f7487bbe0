"""Telling systemd that the server is ready (sd_notify(3)), where it was started by it."""

import os
import socket
from contextlib import suppress


def tell_ready() -> None:
    """Say so once; without systemd nothing happens. That it cannot be said is no reason to serve nobody."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")):
        return
    address = f"\0{place[1:]}" if place.startswith("@") else place
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(b"READY=1", address)
