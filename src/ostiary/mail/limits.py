"""How often mail can be asked for (SU-6): by one source, and to one address."""

from collections.abc import Callable

from ostiary.counters import Counters
from ostiary.durations import Rate

NOBODY = "nobody"


class MailLimits:
    """Counts the mails that somebody asked for. Notices, and a sign-up's own first mail, never pass here.

    Where requests are counted: what a restart forgets is at most that many mails more. It takes the same time
    whatever it answers, and the caller is not told.
    """

    def __init__(
        self, per_address: Rate, per_source: Rate, *, counters: Counters, lookup_hash: Callable[[str], str]
    ) -> None:
        self._addresses = counters.limit("mail-address", per_address)
        self._sources = counters.limit("mail-source", per_source)
        self._lookup_hash = lookup_hash

    async def allowed(self, *, address: str, source: str) -> bool:
        """Count a mail to an address (its canonical key, so that all spellings are one) that a source asks for.

        A source beyond its own limit uses nothing up of the address's: it could otherwise keep mail from somebody.
        """
        key = self._lookup_hash(address)
        if not (await self._sources.hit(source)).allowed:
            await self._addresses.hit(NOBODY)
            return False
        return (await self._addresses.hit(key)).allowed

    async def pretend(self, *, address: str) -> None:
        """Take the time of `allowed`, and count nothing that anybody asks about."""
        self._lookup_hash(address)
        await self._sources.hit(NOBODY)
        await self._addresses.hit(NOBODY)
