"""The forked process in which a command runs. Imports next to nothing, since every command waits for it."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

NOBODY = 65534


def become_command(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    streams: Sequence[Any] = (),
    terminal: str | None = None,
    is_nobody: bool = False,
) -> None:
    """Take a shell's place: arguments, environment and streams, then the command."""
    from ostiary.cli.main import main  # noqa: PLC0415 - loaded before the fork

    os.environ.clear()
    os.environ.update(environment)
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born ignoring it
    if terminal is not None:
        os.setsid()
        opened = os.open(terminal, os.O_RDWR)  # which makes it this session's terminal
        sources = [opened] * 3
    else:
        sources = [stream.detach() for stream in streams]
    for number, source in enumerate(sources):
        os.dup2(source, number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", errors="backslashreplace")  # noqa: SIM115 - for the rest of its life
    if is_nobody and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    sys.argv = ["ostiary", *arguments]
    try:
        main()
    finally:
        sys.stdout.flush()
        if terminal is not None:
            os.write(1, b"\0")  # tells the other side that nothing more comes
