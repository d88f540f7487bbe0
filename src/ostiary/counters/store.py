"""What a store that nodes share must do: count lists of hits exactly, by a clock of its own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from ostiary.counters.windows import REACH, SLOTS, Verdict


class Hit(NamedTuple):
    """One request, counted under a key against a limit."""

    key: str
    """Names the limit as well as who is counted: keys of different limits, or of different sizes of one, differ."""
    limit: int
    window_seconds: int


class Away(Exception):  # noqa: N818 - a state of the store, not an error of the caller
    """The store cannot be used now. str() says in one line why, without any key or password."""


class Store(Protocol):
    """Counts for every node that uses it, as `SlidingWindows` does for one process.

    Its own clock decides, since those of the nodes differ. What it holds may vanish at any time: every window is then
    a fresh one (ST-2).
    """

    @property
    def name(self) -> str:
        """`database` or `redis`."""

    @property
    def company(self) -> "Company | None":
        """Who else uses it, where that can be known."""

    async def count(self, hits: Sequence[Hit]) -> list[Verdict]:
        """Serve or refuse each hit, those of one key in their order. Raises Away."""

    async def check(self) -> None:
        """Ask whether it can be used. Raises Away."""

    async def clear_away(self) -> None:
        """Forget keys that have nothing left to count. Raises Away."""

    async def close(self) -> None:
        """Let go of connections."""


class Standing(NamedTuple):
    """How a server stands to the others that use a store."""

    is_alone: bool
    """Whether all that is counted lies with it, in its memory."""
    others: int
    others_alone: int


class Held(NamedTuple):
    """What a server has counted by itself, in one slot of one key."""

    key: str
    limit: int
    window_seconds: int
    age: int
    """In sixtieths of a second."""
    hits: int


class Company(Protocol):
    """Who else uses the store: a server that knows itself to be alone need not ask it.

    Whoever comes is seen within one beat of the one who is alone, and counts nothing before that one has handed over.
    One that has not been heard of for a while is gone.
    """

    async def join(self) -> Standing:
        """Come, or come again. Raises Away."""

    async def beat(self, *, is_alone: bool) -> Standing | None:
        """Say that this server lives, and whether it is alone as before; None where it is not known. Raises Away."""

    async def claim(self) -> bool:
        """Be alone from now on, if there are no others. Raises Away."""

    async def take_over(self, held: Sequence[Held], *, adding: bool) -> None:
        """Count in the store what this server has counted, at least something: besides what is there, or instead.

        Raises Away.
        """

    async def leave(self) -> None:
        """Go. Raises Away."""


class Asked(NamedTuple):
    """The hits of one key in a list: all that a store needs to know of them."""

    key: str
    hits: int
    limit: int
    window_seconds: int


class Counted(NamedTuple):
    """What a store says of one key."""

    key: str
    admitted: int
    """How many of the hits asked about are served."""
    served: int
    """How many count now, those included."""
    oldest_slot: int
    """The first slot that holds any."""
    tick: int
    """The moment, in sixtieths of a second, of the store's clock."""


def asked_about(hits: Iterable[Hit]) -> list[Asked]:
    """Put the hits of each key together, in the order of keys, in which all lock them: nobody waits in a circle."""
    numbers: dict[Hit, int] = {}
    for hit in hits:
        numbers[hit] = numbers.get(hit, 0) + 1
    return [Asked(hit.key, number, hit.limit, hit.window_seconds) for hit, number in sorted(numbers.items())]


def verdicts(hits: Sequence[Hit], answers: Mapping[str, Counted]) -> Iterator[Verdict]:
    """Tell each hit its part in what was answered for its key: the first ones are served, as far as places go."""
    told: dict[str, int] = {}
    for hit in hits:
        counted = answers[hit.key]
        number = told[hit.key] = told.get(hit.key, 0) + 1
        allowed = number <= counted.admitted
        served = counted.served - (counted.admitted - number if allowed else 0)
        ticks_to_wait = (counted.oldest_slot + REACH) * hit.window_seconds - counted.tick
        yield Verdict(allowed, hit.limit - served, -(-ticks_to_wait // SLOTS))
