"""How often mail can be asked for (SU-6): by one source, and to one address."""

from collections.abc import Callable

from ostiary.clock import Clock
from ostiary.counters import SlidingWindows
from ostiary.durations import Rate


class MailLimits:
    """Counts the mails that somebody asked for. Notices, and a sign-up's own first mail, never pass here.

    In the memory of one process: what a restart forgets is at most that many mails more. It takes the same time
    whatever it answers, and the caller is not told.
    """

    def __init__(self, per_address: Rate, per_source: Rate, *, clock: Clock, lookup_hash: Callable[[str], str]) -> None:
        self._addresses = SlidingWindows(per_address.limit, int(per_address.window.total_seconds()))
        self._sources = SlidingWindows(per_source.limit, int(per_source.window.total_seconds()))
        self._clock = clock
        self._lookup_hash = lookup_hash

    def allowed(self, *, address: str, source: str) -> bool:
        """Count a mail to an address (its canonical key, so that all spellings are one) that a source asks for.

        A source beyond its own limit uses nothing up of the address's: it could otherwise keep mail from somebody.
        """
        now = self._clock.monotonic()
        key = self._lookup_hash(address)
        return self._sources.hit(source, now).allowed and self._addresses.hit(key, now).allowed
