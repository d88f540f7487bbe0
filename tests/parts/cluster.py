"""A replicated PostgreSQL as `deploy/` describes it: etcd, Patroni on each node, HAProxy and pgbouncer in front.

The files are those of `deploy/`, with their addresses, paths and passwords replaced.
"""

import secrets
import signal
import subprocess
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.parts.certificates import authority_and_server
from tests.parts.daemons import Daemons, kill_family
from tests.parts.debian import installed
from tests.parts.deployed import filled
from tests.parts.ports import free_port

START_SECONDS = 90.0


class Cluster:
    """PostgreSQL on several nodes of which one is primary, and what leads to it."""

    def __init__(self, nodes: int = 2) -> None:
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]
        self._daemons = Daemons()
        self._ports = {name: (free_port(), free_port()) for name in self.nodes}  # PostgreSQL's, Patroni's
        self._etcd, self._etcd_peer, self._haproxy, self._pgbouncer = (free_port() for _ in range(4))
        self._passwords = {
            f"change-me-{name}": secrets.token_hex(16)
            for name in ("ostiary", "patroni", "postgres", "replicator", "rewinder")
        }

    def __enter__(self) -> Self:
        self._programs = {
            "patroni": installed("patroni"),
            "etcd": installed("etcd", package="etcd-server"),
            "haproxy": installed("haproxy"),
            "pgbouncer": installed("pgbouncer"),
        }
        # Debian's own, whose version its Patroni knows, and which has TLS.
        self._binaries = installed("pg_controldata", package="postgresql").resolve().parent
        self._daemons.__enter__()
        try:
            self._start()
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
        """The primary's database, through HAProxy, with TLS to the end."""
        return f"{self._url(self._haproxy)}?sslmode=verify-ca&sslrootcert={self._authority}"

    @property
    def pooled_url(self) -> str:
        """The primary's database, through pgbouncer."""
        return self._url(self._pgbouncer)

    @property
    def direct_url(self) -> str:
        """The primary's database, past HAProxy: whichever node can be written to."""
        hosts = ",".join(f"127.0.0.1:{self._ports[node][0]}" for node in self.nodes)
        return (
            f"postgresql://ostiary:{self._passwords['change-me-ostiary']}@{hosts}/ostiary"
            f"?sslmode=verify-ca&sslrootcert={self._authority}&target_session_attrs=read-write"
        )

    def primary(self) -> str | None:
        """Ask the nodes which of them is primary."""
        return next((node for node in self.nodes if self._answers(node, "/primary")), None)

    def _known_primary(self) -> str:
        self._daemons.wait_until(lambda: self.primary() is not None, "a primary", START_SECONDS)
        node = self.primary()
        assert node is not None
        return node

    def is_synchronous(self) -> bool:
        """Say whether a commit waits for a standby."""
        return any(self._answers(node, "/sync") for node in self.nodes)

    def kill_primary(self) -> str:
        """Kill the primary and its Patroni, as when the machine loses power, and say which node it was."""
        node = self._known_primary()
        self._daemons.send(node, signal.SIGSTOP)
        kill_family(self._postmaster(node))
        self._daemons.kill(node)
        return node

    def switch_over(self) -> str:
        """Let a standby become primary in good order, and say which node was it before."""
        node = self._known_primary()
        answer = httpx.post(
            f"http://127.0.0.1:{self._ports[node][1]}/switchover",
            json={"leader": node},
            auth=("patroni", self._passwords["change-me-patroni"]),
            timeout=60,
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        return node

    def start_node(self, node: str) -> None:
        """Start the Patroni of a node, which starts its PostgreSQL."""
        self._daemons.start(node, self._programs["patroni"], self._daemons.directory / node / "patroni.yml")

    def restart_pooler(self) -> None:
        """Kill pgbouncer with all that is under way in it, and start it again."""
        self._daemons.kill("pgbouncer")
        self._start_pooler()

    def wait_for_standby(self) -> None:
        """Wait until there is a primary, and a standby without which nothing is committed."""
        self._daemons.wait_until(
            lambda: self.primary() is not None and self.is_synchronous(), "a primary with a standby", START_SECONDS
        )

    def execute(self, statement: str, database: str = "ostiary") -> str:
        """Run a statement on the primary, as the superuser."""
        environment = {"PGPASSWORD": self._passwords["change-me-postgres"], "PGSSLMODE": "require"}
        url = f"postgresql://postgres@127.0.0.1:{self._haproxy}/{database}"
        command = [str(self._binaries / "psql"), "--no-psqlrc", "--tuples-only", "--no-align", url, "--file=-"]
        answer = subprocess.run(
            command, input=statement, capture_output=True, text=True, check=False, env=environment, timeout=60
        )
        if answer.returncode:
            raise RuntimeError(answer.stderr)
        return answer.stdout.strip()

    def logs(self) -> str:
        """Read what Patroni said on each node."""
        return "\n".join(f"--- {node}\n{self._daemons.log(node)}" for node in self.nodes)

    def _start(self) -> None:
        daemons = self._daemons
        authority, certificate, key = authority_and_server()
        self._authority = daemons.write("ca.crt", authority)
        daemons.write("server.crt", certificate)
        daemons.write("server.key", key)
        daemons.start("etcd", self._programs["etcd"], "--config-file", self._etcd_file())
        daemons.start("haproxy", self._programs["haproxy"], "-db", "-f", self._haproxy_file())
        for node in self.nodes:
            directory = daemons.directory / node
            directory.mkdir()
            daemons.own(directory)
            self._patroni_file(node)
        self.start_node(self.nodes[0])
        daemons.wait_until(lambda: self.primary() is not None, "a primary", START_SECONDS)
        for node in self.nodes[1:]:
            self.start_node(node)
        daemons.wait_until(self._is_reached, "the primary through HAProxy", START_SECONDS)
        self.execute(self._filled("patroni/ostiary.sql", {}, passwords=("ostiary",)), database="postgres")
        self._pgbouncer_file()
        self._start_pooler()
        self.wait_for_standby()

    def _start_pooler(self) -> None:
        self._daemons.start("pgbouncer", self._programs["pgbouncer"], self._daemons.directory / "pgbouncer.ini")

    def _is_reached(self) -> bool:
        try:
            return self.execute("SELECT 1", database="postgres") == "1"
        except RuntimeError:
            return False

    def _etcd_file(self) -> Path:
        text = self._filled(
            "etcd/etcd.yml",
            {
                "node1=http://10.0.0.11:2380,node2=http://10.0.0.12:2380,node3=http://10.0.0.13:2380": "node1=http://10.0.0.11:2380",
                "10.0.0.11:2379": f"127.0.0.1:{self._etcd}",
                "10.0.0.11:2380": f"127.0.0.1:{self._etcd_peer}",
                "/var/lib/etcd/ostiary": str(self._daemons.directory / "etcd"),
            },
        )
        return self._daemons.write("etcd.yml", text)

    def _patroni_file(self, node: str) -> None:
        postgres, rest = self._ports[node]
        directory = self._daemons.directory
        text = self._filled(
            "patroni/patroni.yml",
            {
                "[10.0.0.11:2379, 10.0.0.12:2379, 10.0.0.13:2379]": f"['127.0.0.1:{self._etcd}']",
                "name: node1": f"name: {node}",
                "10.0.0.11:8008": f"127.0.0.1:{rest}",
                "10.0.0.11:5432": f"127.0.0.1:{postgres}",
                "10.0.0.0/24": "127.0.0.1/32",
                "/var/lib/postgresql/15/ostiary": str(directory / node / "data"),
                "/usr/lib/postgresql/15/bin": str(self._binaries),
                "/var/lib/postgresql/.patroni.pgpass": str(directory / node / "pgpass"),
                "/var/run/postgresql": str(directory / node),
                "/etc/patroni": str(directory),
            },
            passwords=("patroni", "postgres", "replicator", "rewinder"),
        )
        self._daemons.write(f"{node}/patroni.yml", text)

    def _haproxy_file(self) -> Path:
        replaced = {"127.0.0.1:5000": f"127.0.0.1:{self._haproxy}"}
        for number in (1, 2, 3):
            line = f"    server node{number} 10.0.0.1{number}:5432 check port 8008\n"
            postgres, rest = self._ports.get(f"node{number}", (0, 0))
            replaced[line] = f"    server node{number} 127.0.0.1:{postgres} check port {rest}\n" if postgres else ""
        return self._daemons.write("haproxy.cfg", self._filled("haproxy/haproxy.cfg", replaced))

    def _pgbouncer_file(self) -> None:
        directory = self._daemons.directory
        text = self._filled(
            "pgbouncer/pgbouncer.ini",
            {
                "port=5000": f"port={self._haproxy}",
                "listen_port = 6432": f"listen_port = {self._pgbouncer}",
                "/etc/pgbouncer": str(directory),
            },
        )
        self._daemons.write("pgbouncer.ini", text)
        self._daemons.write("userlist.txt", self._filled("pgbouncer/userlist.txt", {}, passwords=("ostiary",)))

    def _filled(self, name: str, replaced: dict[str, str], *, passwords: tuple[str, ...] = ()) -> str:
        marks = {f"change-me-{who}": self._passwords[f"change-me-{who}"] for who in passwords}
        return filled(name, replaced | marks)

    def _url(self, port: int) -> str:
        return f"postgresql://ostiary:{self._passwords['change-me-ostiary']}@127.0.0.1:{port}/ostiary"

    def _answers(self, node: str, path: str) -> bool:
        connection = HTTPConnection("127.0.0.1", self._ports[node][1], timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _postmaster(self, node: str) -> int:
        return int((self._daemons.directory / node / "data" / "postmaster.pid").read_text().split()[0])
