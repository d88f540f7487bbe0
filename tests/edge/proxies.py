"""Real proxies with the files of deploy/proxies, on this machine: only names, paths and addresses are changed."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest

from tests.parts.debian import installed
from tests.parts.ports import free_port

FILES = Path(__file__).parents[2] / "deploy" / "proxies"
HOST = "id.example.com"
START_SECONDS = 20


class Proxy:
    """A proxy in a process of its own, ended by its own id. It runs from entering to leaving."""

    def __init__(self, name: str, directory: Path, *, certificate: Path, backend: int) -> None:
        self.name = name
        self.plain, self.tls = free_port(), free_port()
        self._directory = directory
        self._log = directory / "log"
        self._command = getattr(self, f"_{name}")(certificate, backend)
        self._process: subprocess.Popen[bytes] | None = None

    def _nginx(self, certificate: Path, backend: int) -> list[str | Path]:
        site = self._adapted(
            "nginx.conf",
            {
                "listen 80;": f"listen 127.0.0.1:{self.plain};",
                "listen 443 ssl http2;": f"listen 127.0.0.1:{self.tls} ssl http2;",
                "/etc/ssl/id.example.com.pem": str(certificate),
                "/etc/ssl/private/id.example.com.key": str(certificate),
                "server 127.0.0.1:8000 ": f"server 127.0.0.1:{backend} ",
            },
        )
        places = [
            f"{kind}_temp_path {self._directory / kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        ]
        file = self._directory / "main.conf"
        # As root it would serve as somebody who may not write here.
        user = "user root;" if os.geteuid() == 0 else ""
        file.write_text(
            f"{user} daemon off; pid {self._directory}/pid; error_log stderr; events {{ }}\n"
            f"http {{ access_log off; {' '.join(places)} include {site}; }}\n"
        )
        return [installed("nginx", package="nginx-light"), "-p", self._directory, "-e", "stderr", "-c", file]

    def _haproxy(self, certificate: Path, backend: int) -> list[str | Path]:
        file = self._adapted(
            "haproxy.cfg",
            {
                "maxconn 5000 ": "maxconn 200 ",
                "bind :80\n": f"bind 127.0.0.1:{self.plain}\n",
                "bind :443 ": f"bind 127.0.0.1:{self.tls} ",
                "/etc/haproxy/id.example.com.pem": str(certificate),
                "server one 127.0.0.1:8000": f"server one 127.0.0.1:{backend}",
            },
        )
        return [installed("haproxy"), "-db", "-f", file]

    def _caddy(self, certificate: Path, backend: int) -> list[str | Path]:
        file = self._adapted(
            "Caddyfile",
            {
                "{\n\tservers {": f"{{\n\tadmin off\n\thttp_port {self.plain}\n\thttps_port {self.tls}\n"
                "\tdefault_bind 127.0.0.1\n\tservers {",
                "# tls /etc/ssl/id.example.com.pem /etc/ssl/private/id.example.com.key": (
                    f"tls {certificate} {certificate}"
                ),
                "reverse_proxy 127.0.0.1:8000 ": f"reverse_proxy 127.0.0.1:{backend} ",
            },
        )
        caddy = Path(sys.executable).parent / "caddy"
        return [caddy, "run", "--adapter", "caddyfile", "--config", file]

    def _adapted(self, name: str, changes: Mapping[str, str]) -> Path:
        text = (FILES / name).read_text()
        for old, new in changes.items():
            assert text.count(old) == 1, f"{name} has {text.count(old)} times {old!r}"
            text = text.replace(old, new)
        file = self._directory / name
        file.write_text(text)
        return file

    def __enter__(self) -> Self:
        environment = {"HOME": str(self._directory), "XDG_DATA_HOME": str(self._directory)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(part) for part in self._command], stdout=log, stderr=log, cwd=self._directory, env=environment
            )
        deadline = time.monotonic() + START_SECONDS
        while not (listens(self.plain) and listens(self.tls)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._end()
                pytest.fail(f"{self.name} did not start:\n{self.log}")
            time.sleep(0.02)
        return self

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)


def listens(port: int) -> bool:
    with closing(socket.socket()) as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0
