"""The wire between a server and what it needs: it passes bytes on, late, not at all, or cuts itself at a chosen moment.

with Wire(postgres.port) as wire:
    url = f"postgresql://postgres@127.0.0.1:{wire.port}/test"
    wire.delay_seconds = 0.5                   each piece arrives later
    wire.hangs = True                          nothing arrives, and nobody is told
    wire.cuts_after = b"COMMIT", 0.2           of the pieces sent with this in them, so many lose their answer
    wire.cuts_before = b"COMMIT", 0.2          or are lost themselves
    wire.greets_with = b"…"                    whoever connects is told this and no more
    wire.is_down = True                        whoever connects is cut off at once
    wire.cut()                                 every connection breaks
"""

import asyncio
import random
import socket
import threading
from contextlib import suppress
from typing import Self

PIECE = 65536
POLL_SECONDS = 0.01


class Wire:
    """The wire to a port of 127.0.0.1; what it does may be changed while it is in use."""

    def __init__(self, to_port: int) -> None:
        self.delay_seconds = 0.0
        self.hangs = False
        self.cuts_after: tuple[bytes, float] | None = None
        self.cuts_before: tuple[bytes, float] | None = None
        self.greets_with: bytes | None = None
        self.is_down = False
        self.cuts = 0
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def cut(self) -> None:
        """Break every connection."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for connection in self._connections:
            connection.transport.abort()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, sock=self._listener))
        self._loop.run_forever()
        server.close()
        self._cut()
        under_way = asyncio.all_tasks(self._loop)
        for task in under_way:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*under_way, return_exceptions=True))
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_down:
            writer.transport.abort()
            return
        if self.greets_with is not None:
            await reader.read(PIECE)
            writer.write(self.greets_with)
            writer.close()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._connections |= ends
        passing = [
            asyncio.create_task(self._pass_on(reader, far_writer, writer)),
            asyncio.create_task(self._pass_on(far_reader, writer, None)),
        ]
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections -= ends
            for task in passing:
                task.cancel()
            for end in ends:
                end.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asker: asyncio.StreamWriter | None
    ) -> None:
        """Pass on what one side says; the asker is who said it, where that is the side that connected."""
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                while self.hangs:  # noqa: ASYNC110 - it is set from another thread
                    await asyncio.sleep(POLL_SECONDS)
                if asker is not None and self._hits(self.cuts_before, piece):
                    return
                writer.write(piece)
                await writer.drain()
                if asker is not None and self._hits(self.cuts_after, piece):
                    asker.transport.abort()
                    await asyncio.sleep(1)  # the far side gets what was said, and says to nobody what came of it
                    return

    def _hits(self, where: tuple[bytes, float] | None, piece: bytes) -> bool:
        if where is None or where[0] not in piece or random.random() >= where[1]:
            return False
        self.cuts += 1
        return True
