"""Reading the URL of a Redis or Valkey, or of the Sentinels that know where it is.

No text of an error repeats the URL, which may hold a password.
"""

import re
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BeforeValidator

_SENTINEL = "+sentinel"
_SCHEMES = {"redis": False, "rediss": True}
_HOST = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_PORT, _SENTINEL_PORT, _HIGHEST_PORT = 6379, 26379, 65535
_DATABASE = re.compile(r"[0-9]{1,4}")
_SERVICE = re.compile(r"[A-Za-z0-9._-]+")


class RedisTarget(NamedTuple):
    """Where a Redis is. The passwords are in plain: this never leaves the process."""

    addresses: tuple[tuple[str, int], ...]
    """The server's, or those of Sentinels."""
    service: str | None
    """The name by which Sentinels know the server; None where there are none."""
    database: int
    username: str | None
    password: str | None
    sentinel_password: str | None
    is_encrypted: bool
    authority_file: str | None
    """Certificates to trust instead of the system's."""


def parse_redis_url(text: str) -> RedisTarget:
    """Read `redis://user:password@host:port/number`, or `redis+sentinel://…@host:port,host:port/service/number`.

    `rediss` is encrypted, certificates and host names verified, against those in `?ssl_ca_certs=FILE` where it is
    given. Raises ValueError, without a text or with one that continues the setting's name.
    """
    try:
        parts = urlsplit(text)
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise ValueError from None
    scheme = parts.scheme.removesuffix(_SENTINEL)
    by_sentinel = scheme != parts.scheme
    user_info, _, hosts = parts.netloc.rpartition("@")
    path = parts.path.removeprefix("/").split("/")
    service = path.pop(0) if by_sentinel else None
    database = "".join(path) or "0"
    target = RedisTarget(
        addresses=tuple(_address(host, _SENTINEL_PORT if by_sentinel else _PORT) for host in hosts.split(",")),
        service=service,
        database=int(database) if _DATABASE.fullmatch(database) and len(path) <= 1 else -1,
        username=unquote(user_info.partition(":")[0]) or None,
        password=unquote(user_info.partition(":")[2]) or None,
        sentinel_password=parameters.pop("sentinel_password", None) if by_sentinel else None,
        is_encrypted=_SCHEMES.get(scheme, False),
        authority_file=parameters.pop("ssl_ca_certs", None) if scheme == "rediss" else None,
    )
    if (
        scheme not in _SCHEMES
        or parts.fragment
        or parameters
        or target.database < 0
        or (target.username and not target.password)
        or (service is not None and not _SERVICE.fullmatch(service))
        or (len(target.addresses) > 1 and not by_sentinel)
    ):
        raise ValueError
    if target.authority_file is not None and not Path(target.authority_file).is_file():
        raise ValueError(f"names a file of certificates that is not there: {target.authority_file}")
    return target


def _address(text: str, default_port: int) -> tuple[str, int]:
    written = _HOST.fullmatch(text)
    port = int(written["port"] or default_port) if written else 0
    if written is None or not 0 < port <= _HIGHEST_PORT:
        raise ValueError
    return written["host"].strip("[]"), port


def _check_redis_url(value: object) -> str:
    text = str(value).strip()
    parse_redis_url(text)
    return text


RedisURL = Annotated[str, BeforeValidator(_check_redis_url)]
