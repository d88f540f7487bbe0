"""An upgrade that dies by SIGKILL just before its n-th statement, for each of the numbers given.

    python -m tests.upgrades.dying DATA_DIR DATABASE_URL-or-"" N…

0 stands for the commit. Prints a line of JSON for each: the number, the signal that ended it (0: it ended well,
since there were fewer statements).
"""

import json
import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any

import alembic.command
import alembic.script  # noqa: F401 - loaded once, before the forks
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.conftest import settings_for_tests
from tests.upgrades.release import upgrade


def die_at(statement: int) -> None:
    """End this process without a word just before a statement, or for 0 just before the commit of the new revision."""
    numbers = count(1)
    is_done = False

    def count_statement(_connection: Any, _cursor: Any, said: str, *_: Any) -> None:
        nonlocal is_done
        is_done = is_done or said.startswith("UPDATE alembic_version")
        if next(numbers) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    def commit(_: Any) -> None:
        if is_done and statement == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count_statement)
    event.listen(Engine, "commit", commit)


def main(data_dir: str, url: str, numbers: list[int]) -> None:
    """Die once for each number, in a process of its own."""
    settings = settings_for_tests(Path(data_dir), url or None)
    for number in numbers:
        child = os.fork()
        if child == 0:
            die_at(number)
            upgrade(settings)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps({"at": number, "signal": os.WTERMSIG(status)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [int(argument) for argument in sys.argv[3:]])
