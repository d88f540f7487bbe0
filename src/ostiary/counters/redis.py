"""Counting for all nodes in a Redis or Valkey that they share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from ostiary.counters.hot import COUNT_IN_REDIS
from ostiary.counters.store import Away, Counted, Hit, asked_about, verdicts
from ostiary.counters.windows import Verdict
from ostiary.db import Misconfigured
from ostiary.settings.redis_url import RedisTarget, parse_redis_url

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.sentinel import Sentinel

PREFIX = "ostiary:"
TIMEOUT_SECONDS = 2.0
"""For the library's own waiting; whoever asks has less patience."""


class RedisStore:
    """A hash for each key, which expires by itself. Each list of hits is one script.

    `installation` keeps those apart that share a server. Raises Misconfigured where the library is missing.
    """

    name = "redis"
    company = None
    """Not asked for: a Redis that was set up is there to be used."""

    def __init__(self, url: str, *, installation: str) -> None:
        try:
            self._redis, self._sentinel = _connect(parse_redis_url(url))
        except ImportError as error:
            raise Misconfigured("OSTIARY_REDIS_URL needs a library: pip install 'ostiary[redis]'") from error
        self._script = self._redis.register_script(COUNT_IN_REDIS)
        self._prefix = f"{PREFIX}{installation}:"

    async def count(self, hits: Sequence[Hit]) -> list[Verdict]:
        """Serve or refuse each hit. Raises Away."""
        asked = asked_about(hits)
        arguments = [value for each in asked for value in each[1:]]
        with _translated():
            answers = await self._script([self._prefix + each.key for each in asked], arguments)
        return list(
            verdicts(hits, {each.key: Counted(each.key, *row) for each, row in zip(asked, answers, strict=True)})
        )

    async def check(self) -> None:
        """Ask whether it counts: one that is full, or that only reads, answers and cannot. Raises Away."""
        with _translated():
            await self._script([f"{self._prefix}check"], [1, 1, 1])

    async def clear_away(self) -> None:
        """Do nothing: keys expire by themselves."""

    async def close(self) -> None:
        """Close its connections, to Sentinels too."""
        await self._redis.aclose()
        if self._sentinel is not None:
            await self._sentinel.aclose()


def _connect(target: RedisTarget) -> tuple["Redis", "Sentinel | None"]:
    """Answer the server, and who knows where it is."""
    from redis.asyncio import Redis  # noqa: PLC0415 - an extra, loaded where it is used
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.asyncio.sentinel import Sentinel  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    way: dict[str, Any] = {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),  # a list that was sent twice would count twice
    }
    if target.is_encrypted:
        way |= {"ssl": True, "ssl_ca_certs": target.authority_file, "ssl_check_hostname": True}
    entry: dict[str, Any] = {"db": target.database, "username": target.username, "password": target.password}
    if target.service is None:
        [(host, port)] = target.addresses
        return Redis(host=host, port=port, **entry, **way), None
    sentinel = Sentinel(  # type: ignore[no-untyped-call] # the library leaves this one out
        target.addresses, sentinel_kwargs=way | {"password": target.sentinel_password}, **way
    )
    return cast("Redis", sentinel.master_for(target.service, **entry)), sentinel


@contextmanager
def _translated() -> Iterator[None]:
    """Raise Away for whatever the library or the server complains about."""
    from redis.exceptions import RedisError  # noqa: PLC0415

    try:
        yield
    except (RedisError, OSError) as error:
        raise Away(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
