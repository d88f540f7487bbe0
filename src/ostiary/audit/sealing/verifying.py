"""Verifying the log: walking through all of it, and saying of each row that is not as it was sealed what is wrong."""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from ostiary.audit.events import Event
from ostiary.audit.models import AuditRow, audit_log
from ostiary.audit.sealing.chain import Head, SealingKeys, is_whole, link_of
from ostiary.audit.sealing.checkpoints import Checkpoint, Unreadable
from ostiary.audit.sealing.flows import Sealed, highest_place, stored_head
from ostiary.db import Database

PAGE = 2000


class Overview(NamedTuple):
    """The chain as one snapshot shows it from outside."""

    stored: Sealed | None
    highest: int
    too_low: int
    """How many rows have a place before the beginning."""


class Stretch(NamedTuple):
    """Some rows in the order of their places, and the head of the same snapshot."""

    stored: Sealed | None
    rows: list[AuditRow]


def look_over(connection: Connection) -> Overview:
    """Answer what can be told without walking through the rows."""
    stored = stored_head(connection)
    start = 0 if stored is None else stored.head.start_place
    too_low = select(func.count()).select_from(audit_log).where(audit_log.c.place <= start)
    return Overview(stored, highest_place(connection), connection.execute(too_low).scalar_one())


def read_stretch(connection: Connection, after: int, until: int) -> Stretch:
    """Answer the rows that come next after a place."""
    a = audit_log.c
    query = select(audit_log).where(a.place > after, a.place <= until).order_by(a.place).limit(PAGE)
    return Stretch(stored_head(connection), [AuditRow(*row) for row in connection.execute(query)])


async def verify(
    db: Database, keys: SealingKeys, checkpoints: Iterable[Checkpoint | Unreadable], *, show: Callable[[int, int], None]
) -> AsyncGenerator[str, None]:
    """Say in a line each what is not as it was sealed; nothing, where everything is.

    `show` is told how many places of how many are done. The log may grow and be cleared meanwhile.
    """
    seen = Seen()
    said = list(seen.take(checkpoints))
    overview = await db.read(look_over)
    head = Head() if overview.stored is None else overview.stored.head
    for finding in (*said, *_about_head(overview, keys), *seen.beyond(head.place)):
        yield finding
    walk = Walk(head, seen)
    while walk.place < head.place:
        stretch = await db.read(read_stretch, walk.place, head.place)
        if stretch.stored is not None and stretch.stored.head.start_place > walk.place:
            walk.start_later(stretch.stored.head, is_ours=_is_ours(stretch.stored, keys))
        for finding in walk.pass_over(stretch.rows):
            yield finding
        show(walk.place - head.start_place, head.place - head.start_place)
        if len(stretch.rows) < PAGE:
            break
    for finding in walk.end(head):
        yield finding


def _is_ours(stored: Sealed, keys: SealingKeys) -> bool:
    return keys.holds_head(stored.head, stored.seal, stored.key)


def _about_head(overview: Overview, keys: SealingKeys) -> Iterator[str]:
    stored = overview.stored
    if stored is None:
        if overview.highest:
            yield "the head of the chain is gone, though there are sealed rows"
        return
    if not _is_ours(stored, keys):
        yield "the head of the chain has a seal that is not ours: it was changed"
    if overview.highest > stored.head.place:
        yield (
            f"places {stored.head.place + 1} to {overview.highest}: rows beyond the sealed head; they were slipped in, "
            "or an older head was put back"
        )
    if overview.too_low:
        yield f"{overview.too_low} rows before the beginning of the chain: they were slipped in"


@dataclass
class Seen:
    """What checkpoints have seen, by place."""

    by_place: dict[int, Checkpoint] = field(default_factory=dict)
    count: int = 0

    def take(self, checkpoints: Iterable[Checkpoint | Unreadable]) -> Iterator[str]:
        """Take all checkpoints; say which of them are none, or contradict each other."""
        for each in checkpoints:
            if isinstance(each, Unreadable):
                yield f"checkpoints, line {each.line}: {each.what}"
                continue
            self.count += 1
            other = self.by_place.setdefault(each.place, each)
            if other.link != each.link:
                yield f"checkpoints: of {other.at} and {each.at} do not agree on place {each.place}"

    def beyond(self, place: int) -> Iterator[str]:
        """Say whether a checkpoint has seen more than there is."""
        last = max(self.by_place, default=0)
        if last > place:
            yield (
                f"places {place + 1} to {last} are gone: the checkpoint of {self.by_place[last].at} saw them; the "
                "newest rows were cut off, or an older copy of the database was put back"
            )

    def contradicts(self, place: int, link: bytes) -> str | None:
        """Answer when a checkpoint saw another link at a place."""
        checkpoint = self.by_place.get(place)
        return None if checkpoint is None or checkpoint.link == link.hex() else checkpoint.at


class Walk:
    """One walk through the chain, place by place."""

    def __init__(self, head: Head, seen: Seen) -> None:
        self.place = head.start_place
        self._link: bytes | None = head.start_link
        """Of the place before; None where that is missing, and nothing can be compared."""
        self._seen = seen

    def start_later(self, head: Head, *, is_ours: bool) -> None:
        """Go on where the chain begins by now, since retention has removed rows meanwhile."""
        if is_ours:
            self.place, self._link = head.start_place, head.start_link

    def pass_over(self, rows: Sequence[AuditRow]) -> Iterator[str]:
        """Pass over the rows that come next; say what is wrong with them."""
        for row in rows:
            place, link = row.place or 0, row.link or b""
            if place > self.place + 1:
                yield f"{_places(self.place + 1, place - 1)} missing"
                self._link = None
            name = f"place {place} ({row.event}, {row.at.isoformat()[:19]}, id {row.id})"
            if not is_whole(row) or (self._link is not None and link_of(self._link, row, place) != link):
                yield f"{name}: the row is not as it was sealed"
            elif row.event == Event.AUDIT_CHAIN_BROKEN:
                yield f"{name}: the server found the chain broken then: {row.details}"
            if at := self._seen.contradicts(place, link):
                yield f"{name}: the checkpoint of {at} saw another row here"
            self.place, self._link = place, link

    def end(self, head: Head) -> Iterator[str]:
        """Say what is missing at the end, or does not lead to the head."""
        if self.place < head.place:
            yield f"{_places(self.place + 1, head.place)} missing, at the end"
        elif self._link is not None and self._link != head.link:
            yield f"place {head.place}: the chain does not end in its sealed head; a row before was changed"


def _places(first: int, last: int) -> str:
    return f"place {first} is" if first == last else f"places {first} to {last} are"
