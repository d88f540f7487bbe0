"""A running server, asked as a caller would; mail server and Redis, as far as signing in."""

import http.client
import re
import secrets
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from ostiary.counters.redis import RedisStore
from ostiary.counters.store import Away
from ostiary.db import Misconfigured
from ostiary.doctor.faults import Finding, found
from ostiary.doctor.patient import Patient
from ostiary.doctor.storage import judge_clock
from ostiary.mail.outgoing import Outgoing
from ostiary.mail.transport import ServerAway
from ostiary.settings.mail_url import FILES

ANSWER_SECONDS = 5.0
LEFT = re.compile(r'"address";r=(\d+)')
"""What is left of the limit of an address, in the header RateLimit."""


async def look_at_server(patient: Patient) -> Iterable[Finding]:
    """Look at a running server: ready, its clock, and whether it believes strangers where they come from.

    Nobody else runs in this process, so it may wait.
    """
    if patient.url is None:
        return []
    try:
        return list(_about_server(patient, patient.url))
    except (OSError, http.client.HTTPException) as error:
        return [found("server-away", f"{patient.url}: {error}")]


def _about_server(patient: Patient, url: str) -> Iterator[Finding]:
    status, headers = _ask(url, "/readyz", {})
    if status != http.client.OK:
        yield found("server-not-ready", f"{url}/readyz answers {status}")
    if "date" in headers:
        yield from judge_clock(patient.clock.now(), parsedate_to_datetime(headers["date"]), f"the server at {url}")
    if _is_trusted(patient, url):
        return
    spoofed = [_ask(url, "/.well-known/jwks.json", {"X-Forwarded-For": _stranger()})[1] for _ in range(2)]
    left = [LEFT.search(headers.get("ratelimit", "")) for headers in spoofed]
    if all(left) and len({match[1] for match in left if match}) == 1:
        yield found("forwarded-for-believed", f"{url} counts one caller as two for what he says of himself")


def _is_trusted(patient: Patient, url: str) -> bool:
    """Tell whether we ask from where a proxy may stand: then the server believes us, and rightly."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return False
    return any(address in network for network in patient.settings.trusted_proxies)


def _stranger() -> str:
    return f"2001:db8:{secrets.randbelow(65536):x}:{secrets.randbelow(65536):x}::1"  # RFC 3849: nobody's


def _ask(url: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", parts.path.rstrip("/") + path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


async def look_at_redis(patient: Patient) -> Iterable[Finding]:
    """See whether a Redis that is named counts."""
    url = patient.settings.redis_url
    if url is None:
        return []
    try:
        store = RedisStore(url, installation=patient.settings.public_url)
    except Misconfigured as problem:
        return [found("redis-away", str(problem))]
    try:
        await store.check()
    except Away as problem:
        return [found("redis-away", str(problem))]
    finally:
        await store.close()
    return []


async def look_at_mail(patient: Patient) -> Iterable[Finding]:
    """Sign in to the mail server, as before every mail, and send nothing."""
    if patient.settings.mail_url == FILES:
        return []
    try:
        async with Outgoing(patient.settings).open():
            return []
    except ServerAway as error:
        return [found("mail-server-away", error.reason)]
