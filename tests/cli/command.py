"""The `ostiary` command in a process of its own, quickly: forked from one that has loaded the code already.

Everything else is as when typed into a shell: arguments, environment, working directory, standard streams, exit code.
"""

import json
import multiprocessing
import os
import pty
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from ostiary.settings import Settings
from tests.cli.child import become_command
from tests.conftest import settings_for_tests
from tests.people import PASSWORD
from tests.server import Server, clean_environment

TIME_LIMIT_SECONDS = 60
INTERRUPT = "\x03"
"""What Ctrl-C types."""

_LOADED = (
    "serve",
    "user",
    "rights.api_key",
    "rights.service_account",
    "rights.role",
    "keys",
    "audit",
    "db",
    "config",
    "openapi",
    "failures",
)
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    # The last two are found in time nowhere else by somebody who may not read the interpreter's own directory.
    ["alembic.command", "alembic.script", "ostiary.cli.main", "ostiary.db.postgres", "encodings.idna", "uvloop"]
    + [f"ostiary.cli.{name}" for name in _LOADED]
)


class Outcome(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """What it said when it could not go on: one line, and nothing else."""
        assert self.out == "", self
        assert self.err.startswith("ostiary: "), self
        assert self.err.count("\n") == 1, self
        return self.err.removeprefix("ostiary: ").rstrip("\n")

    @property
    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)


@dataclass(frozen=True)
class Installation:
    """A place where an installation is, or could be, and the commands that speak of it."""

    data_dir: Path
    database_url: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """What a server in this process needs to serve it."""
        return settings_for_tests(self.data_dir, self.database_url)

    def run(self, *arguments: str, input: str | bytes = b"", is_nobody: bool = False) -> Outcome:  # noqa: A002
        """Run a command; `is_nobody` gives up root's rights for it."""
        given = input.encode() if isinstance(input, str) else input
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            stdin.write(given)
            stdin.seek(0)
            streams = [multiprocessing.reduction.DupFd(file.fileno()) for file in (stdin, out, err)]
            code = self._fork(arguments, streams=streams, is_nobody=is_nobody)
            return Outcome(code, _read(out), _read(err))

    def on_terminal(self, *arguments: str, answers: Sequence[tuple[str, str]] = ()) -> tuple[int, str]:
        """Run a command on a terminal and type each answer after its question; exit code and what was on the screen."""
        ours, theirs = pty.openpty()
        try:
            process = self._start(arguments, terminal=os.ttyname(theirs))
            screen = _converse(ours, answers)
            return _wait_for(process), screen
        finally:
            os.close(ours)
            os.close(theirs)

    def begin(self, *arguments: str) -> Any:
        """Start a command that nobody listens to, and answer its process, to be waited for or killed."""
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out:
            streams = [multiprocessing.reduction.DupFd(file.fileno()) for file in (stdin, out, out)]
            return self._start(arguments, streams=streams)

    def make(self, username: str = "root", *, email: str = "", is_superuser: bool = False) -> int:
        """Make a user with PASSWORD, and the installation where there is none; answer the id."""
        arguments = ["user", "create", "--email", email or f"{username}@example.com", "--username", username]
        arguments += ["--password-stdin", "--json"] + ["--superuser"] * is_superuser
        return int(self.run(*arguments, input=PASSWORD).json["id"])

    @contextmanager
    def serving(self, *, real_hashing: bool = False) -> Iterator[httpx.Client]:
        """Serve it from this process meanwhile."""
        with Server(self.settings, real_hashing=real_hashing) as server, server.client() as client:
            yield client

    def _fork(self, arguments: Sequence[str], **how: Any) -> int:
        return _wait_for(self._start(arguments, **how))

    def _start(self, arguments: Sequence[str], **how: Any) -> Any:
        environment = clean_environment() | {"OSTIARY_DATA_DIR": str(self.data_dir)} | self.environment
        if self.database_url is not None:
            environment["OSTIARY_DATABASE_URL"] = self.database_url
        process = _FORKS.Process(target=become_command, args=(arguments, environment), kwargs=how)
        process.start()
        return process


def _wait_for(process: Any) -> int:
    process.join(TIME_LIMIT_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
    code = process.exitcode
    process.close()
    return int(code)


def _read(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode())


def _converse(terminal: int, answers: Sequence[tuple[str, str]]) -> str:
    """Wait for each question and type its answer, then read on until the command is gone."""
    screen = ""
    left = list(answers)
    seen = 0
    while "\0" not in screen:
        screen += os.read(terminal, 4096).decode()
        if left and left[0][0] in screen[seen:]:
            seen = len(screen)
            os.write(terminal, left.pop(0)[1].encode())
    return screen.replace("\0", "").replace("\r\n", "\n")
