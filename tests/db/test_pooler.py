"""Behind pgbouncer in transaction mode, with `deploy/pgbouncer`: every transaction may be on another connection."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Connection, func, literal, select, text

from ostiary.db import Database
from ostiary.db.hot import Lookup
from ostiary.db.postgres import PostgresDatabase
from tests.parts.daemons import Daemons
from tests.parts.debian import installed
from tests.parts.deployed import filled
from tests.parts.ports import free_port
from tests.parts.postgres import Postgres

CALLERS = 24
NUMBER = Lookup(sqlite="SELECT ?", postgresql="SELECT n FROM unnest($1::bigint[]) AS n")
NAME = Lookup(sqlite="SELECT ?", postgresql="SELECT n, upper(n) FROM unnest($1::text[]) AS n")


@pytest.fixture
def pooled_url() -> Iterator[str]:
    """A database through a pgbouncer that has two connections to it."""
    with Postgres() as postgres, Daemons() as daemons:
        url = urlsplit(postgres.create_database())
        port = free_port()
        replaced = {
            "ostiary = host=127.0.0.1 port=5000 dbname=ostiary": f"* = host=127.0.0.1 port={url.port}",
            "listen_port = 6432": f"listen_port = {port}",
            "auth_type = scram-sha-256": "auth_type = trust",
            "server_tls_sslmode = verify-ca": "server_tls_sslmode = disable",
            "server_tls_ca_file = /etc/pgbouncer/ca.crt": "",
            "/etc/pgbouncer": str(daemons.directory),
            "default_pool_size = 20": "default_pool_size = 2",
        }
        daemons.write("userlist.txt", '"postgres" ""\n')
        daemons.start(
            "pgbouncer",
            installed("pgbouncer"),
            daemons.write("pgbouncer.ini", filled("pgbouncer/pgbouncer.ini", replaced)),
        )
        daemons.wait_until(lambda: "process up" in daemons.log("pgbouncer"), "pgbouncer", 30)
        yield url._replace(netloc=f"postgres@127.0.0.1:{port}").geturl()


def look(connection: Connection, number: int) -> tuple[str, bool, int]:
    isolation = connection.execute(select(func.current_setting("transaction_isolation"))).scalar_one()
    read_only = connection.execute(select(func.current_setting("transaction_read_only"))).scalar_one()
    return isolation, read_only == "on", connection.execute(select(literal(number) + 1)).scalar_one()


def left_behind(connection: Connection) -> int:
    query = "SELECT count(*) FROM pg_prepared_statements WHERE name <> ''"
    return int(connection.execute(text(query)).scalar_one())


def test_transactions_share_connections_and_leave_nothing_on_them(pooled_url: str) -> None:
    async def caller(database: Database, number: int) -> None:
        for _ in range(5):
            assert await database.write(look, number) == ("serializable", False, number + 1)
            assert await database.read(look, number) == ("repeatable read", True, number + 1)
            assert await database.look_up(NUMBER, [(number,)]) == [(number,)]
            assert await database.look_up(NAME, [(f"a{number}",)]) == [(f"a{number}", f"A{number}")]

    async def run() -> None:
        first, second = (PostgresDatabase(pooled_url, statement_cache=False) for _ in range(2))
        try:
            await asyncio.gather(*(caller((first, second)[number % 2], number) for number in range(CALLERS)))
            assert await asyncio.gather(*(first.read(left_behind) for _ in range(6))) == [0] * 6
        finally:
            await first.close()
            await second.close()

    asyncio.run(run())
