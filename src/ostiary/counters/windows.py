"""Counting requests against a limit, in the memory of one process.

A window is cut into sixty slots, and a served request counts in the slot it falls in. The next one is served while the
current slot and the sixty before it hold fewer than the limit. Every stretch as long as the window touches at most
sixty-one slots, so none serves more than the limit; and what is older than the window weighs for at most one more slot,
so nobody is refused for more than a sixtieth of the window beyond need (the contract, "Rate limits").
"""

from array import array
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from math import floor
from typing import NamedTuple

SLOTS = 60
REACH = SLOTS + 1
"""A request is forgotten when this many slots have begun since the one it counts in."""


class Verdict(NamedTuple):
    """What one request was told."""

    allowed: bool
    remaining: int
    """How many more would be served now."""
    reset_seconds: int
    """Whole seconds, at least one, after which one more place is free: for a refused request, `Retry-After`."""


class _Line:
    """The served requests of one key: slot, count, slot, count, … with the oldest first, and their sum."""

    __slots__ = ("served", "slots")

    def __init__(self) -> None:
        self.slots = array("q")
        self.served = 0


class SlidingWindows:
    """At most `limit` served requests in any stretch of `window_seconds`, for each key by itself.

    Refused requests do not count. At most `max_keys` keys are kept, about 0.3 KB each and 1.3 KB at worst: the one
    longest unheard of goes first, and those with nothing left to count go unasked (RL-3). For one thread, as all of the
    event loop is.
    """

    def __init__(self, limit: int, window_seconds: int, max_keys: int = 100_000) -> None:
        if min(limit, window_seconds, max_keys) < 1:
            raise ValueError("limit, window and number of keys must be at least 1")
        self.limit = limit
        self.window_seconds = window_seconds
        self._max_keys = max_keys
        self._lines: OrderedDict[Hashable, _Line] = OrderedDict()

    def __len__(self) -> int:
        """Answer how many keys are kept."""
        return len(self._lines)

    def hit(self, key: Hashable, now: float) -> Verdict:
        """Serve or refuse a request of this key at the moment `now`, in seconds of a monotonic clock."""
        # In sixtieths of a second slots begin at whole numbers, so no rounding can make a slot longer than another.
        tick = floor(now * SLOTS)
        slot = tick // self.window_seconds

        line = self._lines.get(key)
        if line is None:
            self._make_room(slot)
            line = self._lines[key] = _Line()
        else:
            self._lines.move_to_end(key)
        slots = line.slots
        while slots and slots[0] <= slot - REACH:
            line.served -= slots[1]
            del slots[:2]

        allowed = line.served < self.limit
        if allowed:
            line.served += 1
            if slots and slots[-2] >= slot:
                slots[-1] += 1
            else:
                slots.append(slot)
                slots.append(1)
        ticks_to_wait = (slots[0] + REACH) * self.window_seconds - tick
        return Verdict(allowed, self.limit - line.served, -(-ticks_to_wait // SLOTS))

    def held(self, now: float, keys: Iterable[Hashable] | None = None) -> Iterator[tuple[Hashable, int, int]]:
        """Tell what counts of some keys, or of all: a key, how many sixtieths of a second ago at most, how many.

        No request is told of as older than it is.
        """
        tick = floor(now * SLOTS)
        slot = tick // self.window_seconds
        for key in list(self._lines) if keys is None else keys:
            slots = self._lines[key].slots if key in self._lines else ()
            for held_slot, served in zip(slots[::2], slots[1::2], strict=True):
                if held_slot > slot - REACH:
                    yield key, max(0, tick - (held_slot + 1) * self.window_seconds + 1), served

    def _make_room(self, slot: int) -> None:
        """Forget up to two idle keys, so that they go faster than new ones come, and one more if there is no room."""
        for _ in range(2):
            oldest = next(iter(self._lines.values()), None)
            if oldest is not None and oldest.slots[-2] <= slot - REACH:
                self._lines.popitem(last=False)
        if len(self._lines) >= self._max_keys:
            self._lines.popitem(last=False)
