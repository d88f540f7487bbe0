"""Clients by the thousand that keep a server waiting, in a process of their own.

`python -m tests.faults.crowd PORT PATH COUNT SECONDS` opens COUNT connections of each kind and prints, as JSON, how
each ended: `{"head": {"408": 2000}, …}`, and the slowest end of each kind in seconds. What has not ended after SECONDS
is `kept`. `head` sends its headers byte by byte, `body` its body, and `reader` asks for PATH, which must be large, and
takes its answer byte by byte.
"""

import asyncio
import json
import re
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

from ostiary.edge.connections import raise_open_files

BYTE_EVERY_SECONDS = 0.7
CONNECTING_AT_ONCE = 200
SMALL_WINDOW_BYTES = 4096

HEAD = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX-Slow: "
BODY = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"


class Crowd:
    """What became of all of them."""

    def __init__(self, port: int, path: str, seconds: float) -> None:
        self._port = port
        self._path = path.encode()
        self._seconds = seconds
        self._places = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self._loop = asyncio.get_running_loop()
        self.ends: dict[str, Counter[str]] = {"head": Counter(), "body": Counter(), "reader": Counter()}
        self.slowest: dict[str, float] = dict.fromkeys(self.ends, 0.0)

    async def client(self, kind: str) -> None:
        connection = socket.socket()
        connection.setblocking(False)  # noqa: FBT003 - socket's own signature
        if kind == "reader":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW_BYTES)
        try:
            async with self._places:
                await self._loop.sock_connect(connection, ("127.0.0.1", self._port))
            began_at = self._loop.time()
            keep_waiting: Callable[[socket.socket], Awaitable[str]] = getattr(self, f"_{kind}")
            try:
                async with asyncio.timeout(self._seconds):
                    end = await keep_waiting(connection)
            except TimeoutError:
                end = "kept"
            except OSError:
                end = "cut off"
            self.ends[kind][end] += 1
            self.slowest[kind] = max(self.slowest[kind], self._loop.time() - began_at)
        except OSError as error:
            self.ends[kind][f"not connected: {error}"] += 1
        finally:
            connection.close()

    async def _head(self, connection: socket.socket) -> str:
        return await self._drip(connection, HEAD, b"a")

    async def _body(self, connection: socket.socket) -> str:
        return await self._drip(connection, BODY, b" ")

    async def _drip(self, connection: socket.socket, first: bytes, each: bytes) -> str:
        """Send byte by byte, and answer the status that comes meanwhile, once the server has closed."""
        answering = asyncio.ensure_future(self._until_closed(connection))
        try:
            await self._loop.sock_sendall(connection, first)
            while not answering.done():
                await asyncio.wait([answering], timeout=BYTE_EVERY_SECONDS)
                if not answering.done():
                    await self._loop.sock_sendall(connection, each)
        except OSError:
            pass  # closed already; the answer may have come before
        finally:
            data = await answering
        status = re.match(rb"HTTP/1.1 (\d+) ", data)
        return status[1].decode() if status else "closed"

    async def _until_closed(self, connection: socket.socket) -> bytes:
        data = b""
        try:
            while received := await self._loop.sock_recv(connection, 4096):
                data += received
        except OSError:
            pass
        return data

    async def _reader(self, connection: socket.socket) -> str:
        await self._loop.sock_sendall(connection, b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % self._path)
        while await self._loop.sock_recv(connection, 1):
            await asyncio.sleep(BYTE_EVERY_SECONDS)
            # What arrived before a reset could still be read for long.
            if error := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, "the server has cut the connection off")
        return "closed"


async def main(port: int, path: str, count: int, seconds: float) -> None:
    raise_open_files()
    crowd = Crowd(port, path, seconds)
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            for kind in crowd.ends:
                group.create_task(crowd.client(kind))
    print(json.dumps({"ends": crowd.ends, "slowest": crowd.slowest}))  # noqa: T201 - what it is for


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
