"""Ways to a Redis: through Sentinels, with a password, for several installations; and what is missing is said."""

import asyncio
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from ostiary.counters import Away, Hit, Verdict
from ostiary.counters.redis import RedisStore
from ostiary.db import Misconfigured
from tests.parts.certificates import authority_and_server
from tests.parts.valkey import Sentinel, Valkey

HIT = Hit("address:5/3600:192.0.2.1", 5, 3600)
PATIENCE_SECONDS = 60


async def counted(url: str, installation: str) -> int:
    store = RedisStore(url, installation=installation)
    try:
        return (await store.count([HIT]))[0].remaining
    finally:
        await store.close()


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def count_patiently(store: RedisStore) -> Verdict:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return (await asyncio.wait_for(store.count([HIT]), 5))[0]
        except (Away, TimeoutError):
            assert time.monotonic() < deadline, "no other server was chosen"
            await asyncio.sleep(0.1)


@pytest.mark.rule("RL-3")
def test_counting_goes_on_in_the_server_that_sentinels_choose() -> None:
    async def fail_over(main: Valkey, replica: Valkey, sentinel: Sentinel) -> None:
        store = RedisStore(f"redis+sentinel://:pw@127.0.0.1:{sentinel.port}/main/1", installation="one")
        assert (await count_patiently(store)).remaining == 4
        await until(lambda: "slaves=1" in sentinel.tell("INFO sentinel"))
        await until(lambda: "master_link_status:up" in replica.tell("INFO replication"))
        await until(lambda: "db1:keys=1" in replica.tell("INFO keyspace"))
        sentinel.hurry()
        main.stop()
        assert (await count_patiently(store)).remaining == 3, "what had arrived there counts"
        assert "role:master" in replica.tell("INFO replication")
        await store.close()

    with Valkey("--repl-diskless-sync-delay", "0", password="pw") as main:
        following = ("--replicaof", f"127.0.0.1 {main.port}", "--masterauth", "pw")
        with Valkey(*following, password="pw") as replica, Sentinel(main) as sentinel:
            asyncio.run(fail_over(main, replica, sentinel))


def test_installations_share_a_server_and_no_counts_and_a_wrong_password_counts_nothing() -> None:
    with Valkey(password="p@ss/word") as server:
        url = server.url.replace("p@ss/word", "p%40ss%2Fword")
        assert [asyncio.run(counted(url, name)) for name in ("one", "one", "two")] == [4, 3, 4]
        assert asyncio.run(counted(f"{url}/1", "one")) == 4, "another database"
        with pytest.raises(Away) as caught:
            asyncio.run(counted(f"redis://:hunter2@127.0.0.1:{server.port}", "one"))
        assert "hunter2" not in str(caught.value)


@asynccontextmanager
async def encrypted(server: Valkey, directory: Path) -> AsyncIterator[int]:
    """What Valkey's wheel is built without: TLS in front of it, on a port of its own."""
    authority, certificate, key = authority_and_server()
    for name, text in (("authority.pem", authority), ("server.pem", certificate + key)):
        (directory / name).write_text(text)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "server.pem")

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))

    async with await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context) as front:
        yield front.sockets[0].getsockname()[1]


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def test_tls_is_verified(tmp_path: Path) -> None:
    async def ask(server: Valkey) -> None:
        async with encrypted(server, tmp_path) as port:
            assert await counted(f"rediss://127.0.0.1:{port}?ssl_ca_certs={tmp_path}/authority.pem", "one") == 4
            for url in (
                f"rediss://127.0.0.1:{port}",  # an authority that nobody knows
                f"rediss://localhost:{port}?ssl_ca_certs={tmp_path}/authority.pem",  # another name
            ):
                with pytest.raises(Away, match=r"(?i)certificate"):
                    await counted(url, "one")

    with Valkey() as server:
        asyncio.run(ask(server))


def test_a_missing_library_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(Misconfigured, match=r"pip install 'ostiary\[redis\]'"):
        RedisStore("redis://127.0.0.1", installation="one")
