"""Reading a PostgreSQL URL as people paste it: libpq's parameters, and when TLS must be verified (ST-1).

No text of an error repeats the URL, which holds a password.
"""

import os
import re
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

# libpq knows these and asyncpg does not; none of them changes what we promise. (asyncpg would hand them to the
# server as settings, which refuses the connection.)
_IGNORED = frozenset(
    {
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    }
)
_HOST = re.compile(r"(?:\[[^]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{0,5}))?")
_HIGHEST_PORT = 65535
_TLS = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword"})
_UNVERIFIED = frozenset({"disable", "allow", "prefer"})
_WRITABLE = frozenset({"primary", "read-write"})
_MODES = _UNVERIFIED | {"require", "verify-ca", "verify-full"}


@dataclass(frozen=True)
class Target:
    """What asyncpg needs to connect, and how to name the place to people."""

    dsn: str
    ssl: ssl.SSLContext | bool
    place: str


def parse(url: str) -> Target:
    """Read a `postgresql://` URL.

    TLS is verified, host name included, unless the server is on loopback or a Unix socket; `sslmode=require` is
    therefore as strict as `verify-full` here. Raises ValueError, with a text that continues the setting's name, for
    what cannot be read or is not safe.
    """
    try:
        parts = urlsplit(url)
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise ValueError("cannot be read: it is not of the form postgresql://user:password@host/database") from error
    _refuse_bad_ports(parts.netloc)
    hosts = _hosts(parts.netloc, parameters)
    tls = {name: parameters.pop(name) for name in _TLS & parameters.keys()}
    kept = {name: value for name, value in parameters.items() if name not in _IGNORED}
    kept.setdefault("application_name", "ostiary")
    # Never a standby: it may be behind, and a session that was ended would be accepted. Of several hosts the first
    # that is no standby is taken.
    if kept.setdefault("target_session_attrs", "primary") not in _WRITABLE:
        raise ValueError("has a target_session_attrs that allows a standby, and it must be primary or read-write")
    path = parts.path or "/"
    database = unquote(path.removeprefix("/")) or kept.get("dbname") or kept.get("database") or "the default database"
    return Target(
        dsn=urlunsplit(("postgresql", parts.netloc, path if path != "/" else "", urlencode(kept), "")),
        ssl=_tls(tls, local=all(map(_is_local, hosts))),
        place=f"PostgreSQL database {database} at {', '.join(hosts) or 'the local socket'}",
    )


def _hosts(netloc: str, parameters: dict[str, str]) -> list[str]:
    """Answer every server named, from the URL, its `host` parameter or PGHOST, in libpq's order."""
    named = netloc.rpartition("@")[2] or parameters.get("host", "") or os.environ.get("PGHOST", "")
    return [unquote(_without_port(host)) for host in named.split(",") if host]


def _refuse_bad_ports(netloc: str) -> None:
    for host in netloc.rpartition("@")[2].split(","):
        written = _HOST.fullmatch(host)
        if written is None or int(written["port"] or 0) > _HIGHEST_PORT:
            raise ValueError(
                "cannot be read: a host is missing, or its port is no number up to 65535"
                " (in a password, @ is written %40, : is %3A and / is %2F)"
            )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.startswith("/") or host.count(":") > 1 else host.partition(":")[0]


def _is_local(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _tls(tls: dict[str, str], *, local: bool) -> ssl.SSLContext | bool:
    mode = tls.get("sslmode", "disable" if local else "verify-full")
    if mode not in _MODES:
        raise ValueError(f"has sslmode={mode!r}, and sslmode must be one of {', '.join(sorted(_MODES))}")
    if mode in _UNVERIFIED:
        if local:
            return False
        raise ValueError(
            f"has sslmode={mode}, which would let anybody on the way read and change everything; "
            "use sslmode=verify-full (with sslrootcert=FILE for a private certificate authority)"
        )
    try:
        context = ssl.create_default_context(cafile=tls.get("sslrootcert"))
        if "sslcert" in tls:
            context.load_cert_chain(tls["sslcert"], tls.get("sslkey"), tls.get("sslpassword"))
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"names certificate files that cannot be used: {error}") from None
    context.check_hostname = mode != "verify-ca"
    return context
