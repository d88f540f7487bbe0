"""A server that is paused in the middle of a transaction keeps what it has locked from nobody for long."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from asyncpg import LockNotAvailableError

from tests.audit.inside import audit_rows
from tests.conftest import settings_for_tests
from tests.db.conftest import POSTGRES_VERSIONS
from tests.people import sign_up
from tests.server import Server, clean_environment
from tests.sessions.beside import rows
from tests.sessions.waiting import wait_until

SEALER = """
    import asyncio, os, signal, sys
    from ostiary.audit.sealing.flows import stored_head
    from ostiary.db.postgres import PostgresDatabase

    def pause(connection):
        assert stored_head(connection, lock=True) is not None
        os.kill(os.getpid(), signal.SIGSTOP)
        stored_head(connection)

    asyncio.run(PostgresDatabase(sys.argv[1]).write(pause))
"""


@pytest.mark.parametrize("postgres_url", POSTGRES_VERSIONS[:1], indirect=True)
def test_what_a_paused_server_has_locked_is_free_again(postgres_url: str, tmp_path: Path) -> None:
    settings = settings_for_tests(tmp_path / "data", postgres_url)
    with Server(settings) as server, server.client() as client:
        sign_up(client)
        wait_until(lambda: [row.place for row in audit_rows(settings)].count(None) == 0)
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SEALER), postgres_url],
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        try:
            _, status = os.waitpid(child.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            with pytest.raises(LockNotAvailableError):
                rows(settings, "SELECT 1 FROM audit_chain FOR UPDATE NOWAIT")  # the paused one has it
            sign_up(client)
            wait_until(lambda: [row.place for row in audit_rows(settings)].count(None) == 0)
            child.send_signal(signal.SIGCONT)
            _, error = child.communicate(timeout=30)
        finally:
            child.kill()
            child.wait()
    assert child.returncode == 1
    assert "Unreachable" in error, "what it had begun is undone, and it is told so"
