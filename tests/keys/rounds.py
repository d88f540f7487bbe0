"""Counting what the upkeep of a server does, to know that something did not happen although it had its chance."""

from ostiary.context import App
from tests.sessions.waiting import wait_until


class Rounds:
    """Counts how often a server's key ring was read; plant it with `make_server(change=rounds.plant)`."""

    def __init__(self) -> None:
        self.count = 0

    def plant(self, app: App) -> None:
        read = app.ring.read

        async def counted() -> None:
            await read()
            self.count += 1

        app.ring.read = counted  # type: ignore[method-assign]

    def wait(self) -> None:
        """Return when a whole round of upkeep has been done that began after this was called."""
        before = self.count
        wait_until(lambda: self.count >= before + 2)
